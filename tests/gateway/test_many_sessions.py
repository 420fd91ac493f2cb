"""Session after session: what the gateway process holds afterwards is what it held before.

KWORKSPACE_SESSIONS says how many; the workspace is a cheap server in the tests' own process.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.gateway.openssh import SSHD, public_line, wait_for
from tests.gateway.stand_in_hub import ServerOf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import GatewayProcess, Stack

SESSIONS = int(os.environ.get("KWORKSPACE_SESSIONS", "200"))
AT_ONCE = 20
WARM_UP = 60


def answer(process: asyncssh.SSHServerProcess[str]) -> None:
    """Be a command: `wait` goes on until its channel ends."""
    process.stdout.write("here\n")
    if process.command != "wait":
        process.exit(0)


@asynccontextmanager
async def cheap_workspace(folder: "Path", hub_key: asyncssh.SSHKey) -> AsyncIterator[SSHD]:
    """Yield a workspace whose sshd is never started: something cheaper listens at its port."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    sshd = SSHD(folder / "none", hub_key, key)
    trusted = f'cert-authority,principals="{sshd.principal}" {public_line(hub_key)}'
    async with asyncssh.listen(
        "127.0.0.1",
        sshd.port,
        authorized_client_keys=asyncssh.import_authorized_keys(trusted),
        process_factory=answer,
        server_host_keys=[sshd.host_key],
        backlog=AT_ONCE * 2,
    ):
        yield sshd


async def command(conn: asyncssh.SSHClientConnection) -> None:
    assert (await conn.run("true", check=True)).stdout == "here\n"


async def terminal(conn: asyncssh.SSHClientConnection) -> None:
    assert "here" in str((await conn.run(term_type="xterm", check=True)).stdout)


async def refused_forward(conn: asyncssh.SSHClientConnection) -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        await conn.open_connection("127.0.0.1", 1)


async def torn(conn: asyncssh.SSHClientConnection) -> None:
    """The network breaks in the middle of a command."""
    process = await conn.create_process("wait")
    assert await process.stdout.readline() == "here\n"
    conn.abort()


KINDS: tuple[Callable[[asyncssh.SSHClientConnection], Awaitable[None]], ...] = (
    command,
    terminal,
    refused_forward,
    torn,
)


async def visit(stack: "Stack", number: int) -> None:
    """Be one session from its login to its end."""
    async with stack.asyncssh() as conn:
        await KINDS[number % len(KINDS)](conn)


async def stranger(stack: "Stack") -> None:
    """Be somebody who is refused."""
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1",
            stack.gateway.port,
            config=None,
            username="alice",
            client_keys=[str(stack.keys["mallory"])],
            known_hosts=str(stack.gateway.known_hosts),
            agent_path=None,
        )


async def visits(stack: "Stack", sessions: int) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            await visit(stack, number)
            if number % 10 == 0:
                await stranger(stack)

    await asyncio.wait_for(asyncio.gather(*map(one, range(sessions))), 300)


@dataclass(frozen=True)
class Held:
    """What a process has."""

    descriptors: int
    tasks: int
    mebibytes: float


async def held(stack: "Stack", gateway: "GatewayProcess") -> Held:
    """Return what the gateway has, once its sessions have ended."""

    def states() -> list[str]:
        return re.findall(r"SIGUSR1: (.*)", gateway.log.read_text())

    def count() -> dict[str, int]:
        told = len(states())
        gateway.process.send_signal(signal.SIGUSR1)
        stack.wait_for(lambda: len(states()) > told, "state")
        return {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", states()[-1])}

    def quiet() -> dict[str, int] | None:
        counted = count()
        over = not counted["sessions"] and not counted["strangers"] and not stack.hub.sessions
        return counted if over else None

    counted = await asyncio.to_thread(wait_for, quiet, "end of all sessions")
    assert counted is not None
    return Held(
        descriptors=len(gateway.descriptors()),
        tasks=counted["tasks"],
        mebibytes=gateway.rss_mib(),
    )


async def test_nothing_grows(
    stack: "Stack", new_gateway: "Callable[..., GatewayProcess]", tmp_path: "Path"
) -> None:
    """No task, no file descriptor, and no memory to speak of."""
    stack.hub.sessions.clear()
    stack.gateway = new_gateway("--max-strangers-per-address", "500")
    async with cheap_workspace(tmp_path, stack.hub.authority) as workspace:
        stack.hub.servers["alice"] = ServerOf(workspace)
        await visits(stack, WARM_UP)
        before = await held(stack, stack.gateway)
        await visits(stack, SESSIONS)
        after = await held(stack, stack.gateway)
    assert after.tasks <= before.tasks + 2
    assert after.descriptors <= before.descriptors + 2
    # Twelve are from what runs for the first time or at once, be it 200 sessions or 2,000.
    assert after.mebibytes < before.mebibytes + 20
