"""Signing in: a nonce from the hub, signed by a key of the person, for a token that is kept.

`ssh-keygen -Y sign` makes the signature, so that agent, passphrase and hardware keys work and
their prompts reach the person; this program never sees a private key. The text that is signed is
composed here, with the URL that was dialled (see `client.challenge`).
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from kworkspace.cli import clock
from kworkspace.cli.client import calls
from kworkspace.cli.client.challenge import SIGNATURE_NAMESPACE, challenge_text
from kworkspace.cli.client.errors import Forbidden, HubUnreachable, KworkspaceError, NotFound
from kworkspace.cli.client.models import NewToken, TokenRequest
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.unreachable import CertificateDates, no_hub
from kworkspace.cli.client.ways import is_loopback
from kworkspace.cli.keys import Key, default_keys, identity, named_key, with_certificate
from kworkspace.cli.programs import program
from kworkspace.cli.settings import Settings
from kworkspace.cli.terminal import warn
from kworkspace.cli.tokens import StoredToken, TokenCache

SIGN_SECONDS = 180.0


class SignatureFailed(KworkspaceError):
    """ssh-keygen made no signature with one key; the next one may do."""

    code = "signature-failed"


def open_client(settings: Settings) -> Client:
    """Return a client that is signed in: with the kept token, or a new one.

    Raises:
        KworkspaceError: the hub is not reached, or accepts no key.
    """
    client = Client(
        settings.api,
        ca_file=settings.ca_file,
        renew=lambda client: sign_in(client, settings).token,
    )
    stored = TokenCache(settings).fresh()
    if stored is not None and settings.ssh_key_path is not None:
        named = {str(key.path) for key in _keys(settings)}
        if stored.key not in named:  # it was got with another key than the one that is asked for
            stored = None
    client.token = (stored or sign_in(client, settings)).token
    return client


def sign_in(client: Client, settings: Settings) -> StoredToken:
    """Get a new token and keep it.

    Args:
        client: a client of the hub that bears no token now.
        settings: of this run.

    Raises:
        Forbidden: the hub accepts none of the keys; the message names them.
        HubUnreachable: with what a wrong clock has to do with it.
    """
    api = urlsplit(settings.api)
    if api.scheme == "http" and not is_loopback(api.hostname or ""):
        warn(f"{settings.api} is not encrypted: whoever listens gets your token; use https")
    try:
        stored = _with_one_of(client, settings, _keys(settings))
    except CertificateDates as error:
        wrong = clock.complaint(error.clock_offset) or "tell the hub's admin"
        raise HubUnreachable(f"{error.message}; {wrong}") from error
    except Forbidden as error:
        wrong = clock.complaint(client.clock_offset)
        raise Forbidden(f"{error.message}; {wrong}" if wrong else error.message) from error
    if wrong := clock.complaint(client.clock_offset):
        warn(wrong)
    TokenCache(settings).save(stored)
    return stored


def _keys(settings: Settings) -> Iterable[Key]:
    if settings.ssh_key_path is not None:
        return with_certificate(named_key(settings.ssh_key_path))
    return default_keys(settings.state_dir)


def _with_one_of(client: Client, settings: Settings, keys: Iterable[Key]) -> StoredToken:
    """Try key after key: the hub does not say why it refuses one."""
    refused: list[str] = []
    failed: SignatureFailed | None = None
    for key in keys:
        try:
            new = _exchange(client, settings.user, key)
        except SignatureFailed as error:
            failed = error
        except Forbidden:
            refused.append(key.label)
        else:
            return StoredToken.of(new, url=settings.api, user=settings.user, key=key)
    if refused:
        raise Forbidden(
            f"the hub does not accept {' or '.join(refused)} for user {settings.user}: ask its"
            f" admin to add your key, set --ssh-key-path or --user, or see whether"
            f" {settings.api} is the URL that the hub is known by"
        )
    if failed is not None:
        raise failed
    raise Forbidden(
        "there is no SSH key to sign in with: make one with ssh-keygen -t ed25519 and give"
        " ~/.ssh/id_ed25519.pub to the hub's admin, or name one with --ssh-key-path"
    )


def _exchange(client: Client, user: str, key: Key) -> NewToken:
    try:
        nonce = client.send(calls.challenge()).nonce
    except NotFound as error:
        raise no_hub(client.url, 404, "") from error
    text = challenge_text(url=client.url, user=user, nonce=nonce)
    request = TokenRequest(
        user=user, url=client.url, nonce=nonce, signature=sign(text, key), note=_note()
    )
    return client.send(calls.new_token(request))


def sign(text: bytes, key: Key) -> str:
    """Return the armored signature of a text (ssh-keygen(1), -Y sign).

    Raises:
        SignatureFailed: ssh-keygen said why on stderr, which is the person's.
    """
    command = (program("ssh-keygen"), "-q", "-Y", "sign")
    try:
        done = subprocess.run(
            (*command, "-n", SIGNATURE_NAMESPACE, "-f", str(key.path)),
            input=text,
            stdout=subprocess.PIPE,
            timeout=SIGN_SECONDS,
            env=_prompting_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SignatureFailed(
            f"{key.label} gave no signature within {SIGN_SECONDS:.0f} s"
        ) from error
    if done.returncode != 0:
        raise SignatureFailed(f"ssh-keygen cannot sign with {key.label}")
    return done.stdout.decode()


def _prompting_environment() -> dict[str, str]:
    """Let ssh-keygen ask on the terminal where there is one.

    As its stdin is the text to sign, it would otherwise look for a graphical askpass program as
    soon as DISPLAY is set, and fail where none is installed (OpenSSH's readpass.c).
    """
    environ = dict(os.environ)
    if "SSH_ASKPASS_REQUIRE" in environ:
        return environ
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return environ
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environ.pop(name, None)
    return environ


def _note() -> str:
    return f"kworkspace on {os.uname().nodename}"


def kept_key(settings: Settings) -> Path | None:
    """Return the key that the kept token was got with, for ssh: the one that the hub accepts."""
    stored = TokenCache(settings).load()
    return None if stored is None else identity(Path(stored.key))
