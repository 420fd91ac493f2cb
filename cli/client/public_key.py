"""What somebody hands over as a public key, before it goes anywhere: a private one never does.

Nothing of the content gets into an error: a slip of the pen may have named any file.
"""

from kworkspace.cli.client.exits import UsageFault

MAX_BYTES = 65536
_PRIVATE = (b"PRIVATE KEY", b"PuTTY-User-Key-File", b"SSH PRIVATE KEY FILE FORMAT")
_SSH2 = b"---- BEGIN SSH2 PUBLIC KEY"
_PUBLIC_HALF = "add its public half, which ssh-keygen -y -f FILE shows"


def check_public_key(content: bytes, what: str, instead: str = _PUBLIC_HALF) -> str:
    """Return the one line of a public key.

    Args:
        content: what was handed over.
        what: how the error calls it.
        instead: what to do if it is a private key.

    Raises:
        UsageFault: it is a private key, or not one public key; the message holds nothing of it.
    """
    if any(mark in content for mark in _PRIVATE):
        raise UsageFault(f"{what} is a private key, which stays with you: {instead}")
    if _SSH2 in content:
        raise UsageFault(f"{what} is not OpenSSH's format: ssh-keygen -i -f FILE converts it")
    if len(content) > MAX_BYTES:
        raise UsageFault(f"{what} is too large to be a public key")
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise UsageFault(f"{what} is no text, so no public key") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
        count = f"{len(keys)} lines" if keys else "nothing"
        raise UsageFault(f"{what} holds {count} and not one public key: add one at a time")
    return keys[0]
