"""What the commands print: the keys of the JSON are a promise, the sentences are for people."""

import io
import json
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.models import Server, ServerState
from kworkspace.cli.client.replies import decode_reply
from kworkspace.cli.client.reports import status_text, workspace_report
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags

KEYS = {"user", "workspace", "status", "started", "last_activity", "error"}


def server(status: ServerState, error: str = "") -> Server:
    """A workspace that was started two hours ago."""
    now = datetime.now(UTC)
    return Server(
        name="",
        full_name="alice/",
        ready=status is ServerState.READY,
        stopped=status is ServerState.STOPPED,
        pending=None,
        started=None if status is ServerState.STOPPED else now - timedelta(hours=2),
        last_activity=now - timedelta(minutes=5),
        url="",
        progress_url="",
        user_options={},
        id="1",
        status=status,
        error=error,
    )


@pytest.mark.parametrize("known", [None, server(ServerState.READY)])
def test_the_keys(known: Server | None) -> None:
    shown = json.loads(msgspec.json.encode(workspace_report("alice", "", known)))
    assert set(shown) == KEYS
    changed = json.loads(msgspec.json.encode(workspace_report("alice", "", known, changed=True)))
    assert set(changed) == {*KEYS, "changed"}


@pytest.mark.parametrize(
    ("name", "state", "error", "text"),
    [
        ("", None, "", "Your workspace is stopped."),
        ("gpu", ServerState.STOPPED, "", "Workspace gpu is stopped."),
        (
            "",
            ServerState.READY,
            "",
            "Your workspace is ready (started 2 h ago, last active 5 min ago).",
        ),
        ("", ServerState.STARTING, "", "Your workspace is starting (started 2 h ago)."),
        (
            "",
            ServerState.STOPPED,
            "No quota.",
            "Your workspace is stopped: No quota.",
        ),
    ],
)
def test_the_sentence(name: str, state: ServerState | None, error: str, text: str) -> None:
    known = None if state is None else server(state, error)
    assert status_text(workspace_report("alice", name, known)) == text


# What a hub may send: a JSON string of anything, times of all years and none of a zone.
HOSTILE = st.text() | st.sampled_from(["\x1b[2J", "\x9b2J", "\u202eevil", "\u2028", "\x7f", "\0"])
MOMENTS = st.none() | st.datetimes(
    timezones=st.sampled_from(
        [None, UTC, timezone(timedelta(hours=14)), timezone(-timedelta(1, -9))]
    )
).map(datetime.isoformat)
SERVERS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("name", "full_name", "url", "progress_url", "id", "error"), HOSTILE),
        **dict.fromkeys(("ready", "stopped"), st.booleans()),
        **dict.fromkeys(("started", "last_activity"), MOMENTS),
        "pending": st.none(),
        "user_options": st.dictionaries(HOSTILE, HOSTILE),
        "status": st.sampled_from([state.value for state in ServerState]),
    }
)


@given(SERVERS, HOSTILE)
def test_whatever_a_hub_says_is_shown_without_its_escapes(
    sent: dict[str, object], user: str
) -> None:
    body = json.dumps({"name": user, "admin": False, "servers": {"": sent}}).encode()
    try:
        model = decode_reply(calls.whoami(), 200, {}, body)
    except HubUnreachable:
        return
    result = workspace_report(model.name, "", model.servers[""])
    for flags in (Flags(output="json"), Flags()):
        shown = io.StringIO()
        with redirect_stdout(shown):
            report(flags, result, status_text(result))
        line = shown.getvalue().removesuffix("\n")
        assert line.isprintable()
        if flags.json:
            assert line.isascii()
            assert json.loads(line) == msgspec.to_builtins(result)
