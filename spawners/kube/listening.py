"""What listens in a pod: the program that looks, by one exec, and what its output says.

Pure. The owner of the workspace can make it say anything; it is shown to them alone.
"""

from kworkspace.spawners.base import Listener
from kworkspace.spawners.sockets import listening

SECONDS = 15.0
MOST_BYTES = 256 * 1024

_SCRIPT = r"""
# The image's own may be the account's to write to, and this may run as root.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT
for file in /proc/net/tcp /proc/net/tcp6; do
    [ -r $file ] && grep "^ *[0-9]*: [0-9A-F]*:[0-9A-F]* [0-9A-F]*:[0-9A-F]* 0A " $file
done
for dir in /proc/[0-9]*; do
    sockets=$(ls -l "$dir/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p')
    if [ -n "$sockets" ]; then
        read -r name < "$dir/comm" && echo "process $name" && echo sockets $sockets
    fi
done
exit 0
"""


def program() -> list[str]:
    """Return what to run in the container."""
    return ["/bin/sh", "-c", _SCRIPT, "kworkspace-ports"]


def parse(output: bytes, own_port: int) -> list[Listener]:
    """Return what the program saw; lines that make no sense are left out.

    Args:
        output: of the program.
        own_port: of the workspace's SSH server.
    """
    text = output.decode(errors="replace")
    name = ""
    names: dict[str, str] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "process":
            name = rest.strip()
        elif word == "sockets":
            names |= dict.fromkeys(rest.split(), name)
    found = {
        Listener(socket.port, str(socket.address), names.get(socket.inode, ""))
        for socket in listening(text)
        if socket.port != own_port
    }
    return sorted(found, key=lambda one: (one.port, one.address))
