"""What ssh logs in with by tunnel: a key that is made here, and a certificate of the hub's for it.

The key alone opens nothing, and the certificate is good for minutes and through the tunnel that it
was asked for (see `hub.tunnel_certificates`), so the key has no passphrase and is made once.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError
from kworkspace.cli.programs import program
from kworkspace.cli.ssh_command import usable_keys
from kworkspace.cli.state import private_folder, write_private

MAKE_SECONDS = 30.0


class NoKey(KworkspaceError):
    """No key can be made."""

    code = "no-tunnel-key"


class TunnelKey:
    """The files.

    Args:
        folder: where they are; nothing else is there.

    Attributes:
        private: ssh's IdentityFile.
        certificate: ssh's CertificateFile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.private = folder / "id_ed25519"
        self._public = folder / "id_ed25519.pub"
        self.certificate = folder / "certificate"

    def public(self) -> str:
        """Return the public half, as an OpenSSH line; the key is made if there is none.

        Raises:
            NoKey: ssh-keygen makes none.
            OSError: it cannot be written.
        """
        if not self._is_whole():
            self._make()
        return self._public.read_text().strip()

    def _is_whole(self) -> bool:
        return self.private.is_file() and self._public.is_file()

    def _make(self) -> None:
        """Make the key, whole or not at all; of two that do so at once, one wins."""
        folder = private_folder(self._folder.parent)
        new = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        try:
            words = ("-q", "-t", "ed25519", "-N", "", "-C", "kworkspace tunnel")
            done = subprocess.run(
                (program("ssh-keygen"), *words, "-f", str(new / self.private.name)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=MAKE_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                raise NoKey(f"ssh-keygen makes no key in {folder}: {done.stderr.decode().strip()}")
            try:
                new.rename(self._folder)
            except OSError:
                if not self._is_whole():
                    shutil.rmtree(self._folder, ignore_errors=True)  # half of one is none
                    new.rename(self._folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def keep(self, certificate: str) -> None:
        """Keep a certificate, for ssh to read.

        Raises:
            HubUnreachable: it is none.
        """
        lines = usable_keys([certificate])
        if not lines:
            raise HubUnreachable("the hub sends no certificate for the tunnel")
        write_private(self.certificate, f"{lines[0]}\n".encode())
