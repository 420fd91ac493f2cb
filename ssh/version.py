"""The version that our SSH servers announce (RFC 4253, section 4.2: `SSH-2.0-` SERVER_VERSION).

OpenSSH's client sends `eow@openssh.com` and `no-more-sessions@openssh.com` only to servers whose
software version matches `OpenSSH*` (its compat.c, SSH_NEW_OPENSSH), so ours begins with that name.
What other clients make of the number decides which one: paramiko, libssh and PuTTY work around
faults of OpenSSH up to 7.7 and match `OpenSSH_1`... as the OpenSSH of last century, so that a
10.x would get their oldest work-arounds; 9.9 is modern to all of them. What follows the space is
the comment of the RFC, and says what the server really is.
"""

SERVER_VERSION = "OpenSSH_9.9 kworkspace"
