"""What OpenSSH does and asyncssh does not, for both places that run SSH connections.

`gateway` and `spawners.local` use it; it knows of neither, nor of the hub.
"""
