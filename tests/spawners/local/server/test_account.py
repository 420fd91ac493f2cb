"""The account and what a client may set."""

import os
import pwd

import pytest

from kworkspace.spawners.local.server.account import Account, accepted


def test_own_account() -> None:
    account = Account.own()
    assert account.name == pwd.getpwuid(os.geteuid()).pw_name
    assert os.access(account.shell, os.X_OK)


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false", "/no/such/shell"])
def test_an_account_without_a_shell_gets_one(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("service", "x", 7, 7, "", "/", shell))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: entry)
    assert Account.own() == Account("service", "/bin/bash")


def test_a_uid_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert Account.own().name == f"uid-{os.geteuid()}"


def test_accepted_variables() -> None:
    fine = {b"LANG": b"de_DE.UTF-8", b"LC_ALL": b"C", b"COLORTERM": b"truecolor", b"LC_X": b"\xff"}
    refused = {
        b"LD_PRELOAD": b"x",
        b"PATH": b"x",
        b"LC_A=B": b"x",
        b"LC_NUL": b"a\0b",
        b"LC_LONG": b"x" * 100_000,
        b"KWORKSPACE_SERVER_ID": b"x",
    }
    assert accepted({**fine, **refused}) == fine
