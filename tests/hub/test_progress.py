"""Who listens sees the whole operation, from its beginning to its end, whenever and wherever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations

import pytest

from kworkspace.cli.client.models import Progress, ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.bus import LocalBus
from kworkspace.hub.progress import MAX_EVENTS, TOPIC, ProgressBoard, beginning
from kworkspace.hub.readmodel import ReadModel, ServerRow
from tests.hub.clock import DEADLINE, Clock

STARTING, READY, STOPPING, STOPPED = (
    ServerState.STARTING,
    ServerState.READY,
    ServerState.STOPPING,
    ServerState.STOPPED,
)


class OneServer(ReadModel):
    """A read model of one server, to be set."""

    def set(
        self,
        state: ServerState,
        *,
        running: bool | None = None,
        generation: int = 1,
        deleting: bool = False,
        error: str = "",
    ) -> ServerRow:
        """Have the server be so."""
        running = state in {STARTING, READY} if running is None else running
        row = ServerRow(
            id="id", user="alice", name="", slug="alice", state=state, desired_running=running,
            deleting=deleting, generation=generation, error=error, options={}, object_uid=None,
            host=None, port=None, host_key=None, account=None, created=Clock().now, started=None,
            last_activity=None, version=1,
        )  # fmt: skip
        self._put_server(row)
        return row

    def forget(self) -> None:
        """Have it be deleted."""
        self._forget_server("id")


@pytest.fixture
def server() -> OneServer:
    return OneServer()


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def board(bus: LocalBus, server: OneServer) -> ProgressBoard:
    return ProgressBoard(bus=bus, readmodel=server)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    yield tasks
    await tasks.aclose()


def event(message: str, progress: int = 0) -> Progress:
    return Progress(message=message, progress=progress)


async def listen(board: ProgressBoard, row: ServerRow) -> list[Progress]:
    async with asyncio.timeout(DEADLINE):
        return [item async for item in board.follow(row)]


async def words(board: ProgressBoard, row: ServerRow) -> list[str]:
    return [item.message for item in await listen(board, row)]


async def test_early_and_late_listeners_see_the_same(
    board: ProgressBoard, server: OneServer, tasks: Tasks
) -> None:
    row = server.set(STARTING)
    early = tasks.spawn(listen(board, row), "early")
    await asyncio.sleep(0)
    board.add("id", 1, event("second", 10))
    middle = tasks.spawn(listen(board, row), "middle")
    await asyncio.sleep(0)
    board.add("id", 1, event("third", 90))
    late = tasks.spawn(listen(board, row), "late")
    await asyncio.sleep(0)
    server.set(READY)
    assert await early == await middle == await late
    assert [(item.progress, item.message, item.ready) for item in await early] == [
        (0, "Starting your workspace", False),
        (10, "second", False),
        (90, "third", False),
        (100, "Your workspace is ready", True),
    ]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (READY, "", "Your workspace is ready"),
        (STOPPED, "no node has a GPU", "no node has a GPU"),
        (STOPPED, "", "it is stopped"),
    ],
)
async def test_when_nothing_is_under_way(
    board: ProgressBoard,
    server: OneServer,
    state: ServerState,
    error: str,
    message: str,
) -> None:
    row = server.set(state, error=error)
    board.add("id", 1, event("of a start that is over"))
    [last] = await listen(board, row)
    ready = state is READY
    assert (last.message, last.ready, last.failed) == (message, ready, not ready)


async def test_a_stop_ends_who_waits_for_the_start(
    board: ProgressBoard, server: OneServer, tasks: Tasks
) -> None:
    start = tasks.spawn(listen(board, server.set(STARTING)), "start")
    await asyncio.sleep(0)
    row = server.set(STOPPING, generation=2)
    board.add("id", 1, event("too late"))
    stop = tasks.spawn(words(board, row), "stop")
    await asyncio.sleep(0)
    server.set(STOPPED, generation=2)
    last = (await start)[-1]
    assert (last.failed, last.message) == (True, "it was stopped")
    assert await stop == ["Stopping the workspace", "The workspace is stopped"]


async def test_who_comes_when_it_is_over(board: ProgressBoard, server: OneServer) -> None:
    """Between the look at the server and the first event it may have become something else."""
    start, stop = server.set(STARTING), server.set(STOPPING, generation=2)
    server.set(STOPPED, generation=2)
    assert await words(board, stop) == ["The workspace is stopped"]
    assert await words(board, start) == ["it was stopped"]
    server.set(READY, generation=3)
    assert await words(board, stop) == ["Your workspace is ready"]


async def test_who_waits_for_a_stop_sees_the_start_after_it(
    board: ProgressBoard, server: OneServer, tasks: Tasks
) -> None:
    stop = tasks.spawn(words(board, server.set(STOPPING)), "stop")
    await asyncio.sleep(0)
    server.set(STOPPING, running=True, generation=2)
    await asyncio.sleep(0)
    server.set(STARTING, generation=2)
    board.add("id", 2, event("second"))
    await asyncio.sleep(0)
    server.set(STOPPED, generation=2, error="no luck")
    assert await stop == ["Stopping the workspace", "Starting your workspace", "second", "no luck"]


async def test_deletion(board: ProgressBoard, server: OneServer, tasks: Tasks) -> None:
    start = tasks.spawn(listen(board, server.set(STARTING)), "start")
    await asyncio.sleep(0)
    row = server.set(STOPPING, generation=2, deleting=True)
    delete = tasks.spawn(words(board, row), "delete")
    await asyncio.sleep(0)
    server.set(STOPPED, generation=2, deleting=True)
    board.add("id", 2, event("removing files"))
    await asyncio.sleep(0)
    server.forget()
    assert (await start)[-1].failed
    assert await delete == [
        "Stopping the workspace",
        "Deleting the workspace",
        "removing files",
        "The workspace is deleted",
    ]
    assert board._feeds == {}
    [last] = await listen(board, row)
    assert last.message == "The workspace is deleted"


async def test_it_does_not_matter_in_which_order_messages_come(server: OneServer) -> None:
    """Those of several hubs that one after the other drove it, and of the starts before."""
    row = server.set(STARTING, generation=3)
    told = [(2, event("old")), (3, event("a", 10)), (3, event("a", 10)), (3, event("b", 20))]
    seen = set()
    for order in permutations(told):
        board = ProgressBoard(bus=LocalBus(), readmodel=server)
        for generation, item in order:
            board.add("id", generation, item)
        seen.add(frozenset(item.message for item in board._feeds["id"].events))
        assert len(board._feeds["id"].events) == 2
    assert seen == {frozenset({"a", "b"})}
    assert row.generation == 3


async def test_message_that_comes_before_the_state(
    board: ProgressBoard, server: OneServer, tasks: Tasks
) -> None:
    row = server.set(STOPPING)
    board.add("id", 2, event("of the next start"))
    follow = tasks.spawn(words(board, row), "follow")
    await asyncio.sleep(0)
    server.set(STARTING, generation=2)
    await asyncio.sleep(0)
    server.set(READY, generation=2)
    assert "of the next start" in await follow


async def test_every_hub_hears_it(server: OneServer, bus: LocalBus) -> None:
    boards = [ProgressBoard(bus=bus, readmodel=server) for _ in range(2)]
    boards[0].add("id", 1, event("here"))
    assert boards[1]._feeds["id"].events == [event("here")]


async def test_floods_and_long_texts_are_bounded(
    board: ProgressBoard, bus: LocalBus, server: OneServer
) -> None:
    sizes: list[int] = []
    bus.subscribe(TOPIC, lambda message: sizes.append(len(message)))
    for text in ("\N{SKULL}" * 100_000, "\0" * 100_000, '"' * 100_000):
        board.add("id", 1, Progress(message=text, ready=True, url="x" * 100_000))
    for number in range(2 * MAX_EVENTS):
        board.add("id", 1, event(str(number)))
    assert max(sizes) < 7000
    assert len(board._feeds["id"].events) == MAX_EVENTS
    assert not any(item.ready for item in board._feeds["id"].events), "only the state ends it"


def test_named_workspace(server: OneServer) -> None:
    row = replace(server.set(STARTING), name="gpu")
    assert beginning(row) == event("Starting workspace gpu")
