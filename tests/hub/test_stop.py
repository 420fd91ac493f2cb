"""A real hub that is told to end in the middle of its work."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest

from tests.conftest import RealHub, wait_until

STARTERS = 12
ANSWERS = {
    HTTPStatus.CREATED,
    HTTPStatus.ACCEPTED,
    HTTPStatus.NO_CONTENT,
    HTTPStatus.BAD_REQUEST,  # "is already running": the start before it was answered with 202
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
PEOPLE = [f"user{number}" for number in range(STARTERS)]
MANY = f"""
c.SSHKeyAuthenticator.users = dict.fromkeys({PEOPLE!r}, c.SSHKeyAuthenticator.users["alice"])
c.Hub.concurrent_spawn_limit = 0
"""
HELD = """
async def hold(spawner, workspace):
    import asyncio
    await asyncio.Event().wait()
c.Spawner.pre_spawn_hook = hold
"""


@dataclass
class Person:
    """Starts and stops a workspace until the hub has gone.

    Attributes:
        wanted: what the last answer promised: that it runs, or that it does not.
        answers: every status that came.
    """

    hub: RealHub
    name: str
    token: str
    wanted: bool | None = None
    answers: int = 0

    def work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=20)
        method = "POST"
        try:
            while True:
                connection.connect()
                status = self._ask(connection, method)
                connection.close()
                if status == HTTPStatus.SERVICE_UNAVAILABLE:
                    return
                self.answers += 1
                if status < HTTPStatus.BAD_REQUEST:
                    self.wanted = method == "POST"
                method = "DELETE" if method == "POST" else "POST"
        except OSError:  # nobody listens any more
            return
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, method: str) -> int:
        headers = {"Authorization": f"token {self.token}"}
        connection.request(method, f"/hub/api/users/{self.name}/server", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status in ANSWERS, response.status
        return response.status


def test_end_under_load_loses_nothing(make_hub: Callable[..., Any]) -> None:
    """What was answered is so after the next start; what was not answered was not begun."""
    hub = make_hub(extra=MANY, gateway=True)
    hub.start()
    token = (hub.data_dir / "admin_token").read_text().strip()
    people = [Person(hub, name, token) for name in PEOPLE]
    threads = [threading.Thread(target=person.work) for person in people]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(person.answers for person in people) > STARTERS, "some work")
    assert hub.terminate() == 0
    for thread in threads:
        thread.join(20)
    # Who was still in the kernel's queue when the hub closed its socket is told nothing; that
    # nothing was begun for them either, the states below say.
    log = hub.log.read_text()
    assert "Traceback" not in log, log
    assert " ERROR " not in log, log
    hub.start()
    for person in people:
        wait_until(lambda: _runs(hub, person) is not None, "the work left over")  # noqa: B023  called at once
        assert person.wanted is not None
        assert _runs(hub, person) == person.wanted, person


def _runs(hub: RealHub, person: Person) -> bool | None:
    """Whether a person's workspace runs; None while it starts or stops."""
    _, server = hub.api("GET", f"/users/{person.name}/server")
    return None if server["pending"] else bool(server["ready"])


def test_who_waits_for_a_start_is_answered(make_hub: Callable[..., Any]) -> None:
    """With 202: it is on its way, and the next hub goes on with it."""
    hub = make_hub(extra=HELD)
    hub.start()
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    token = (hub.data_dir / "admin_token").read_text().strip()
    headers = {"Authorization": f"token {token}"}
    connection.request("POST", "/hub/api/users/alice/server", headers=headers)
    wait_until(lambda: hub.server().get("pending") == "spawn", "the start")
    began = time.monotonic()
    assert hub.terminate() == 0
    assert time.monotonic() - began < 5
    with connection.getresponse() as response:
        assert response.status == HTTPStatus.ACCEPTED
    connection.close()


SLOW_SERVICE = """
c.Hub.services.append({
    "name": "slow",
    "command": ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"],
})
"""


def test_not_ready_from_the_signal_on_and_a_second_one_ends_at_once(
    make_hub: Callable[..., Any],
) -> None:
    hub = make_hub(extra=SLOW_SERVICE)
    hub.start()
    log = hub.data_dir / "services/slow/log"
    wait_until(lambda: log.exists() and log.read_text(), "the service, deaf to SIGTERM")
    hub.process.send_signal(signal.SIGTERM)
    wait_until(lambda: _health(hub, "/health/ready") == (503, False), "the refusal")
    assert _health(hub, "/health") == (200, False)
    assert hub.api("GET", "/users")[0] == HTTPStatus.OK, "a request that comes is answered"
    hub.process.send_signal(signal.SIGINT)
    assert hub.process.wait(3) == 128 + signal.SIGINT
    assert "Told twice to end: ending at once" in hub.log.read_text()


def _health(hub: RealHub, path: str) -> tuple[int, bool]:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    connection.request("GET", path)
    with connection.getresponse() as response:
        status, body = response.status, json.loads(response.read())
    connection.close()
    return status, body["ready"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too(make_hub: Callable[..., Any], number: signal.Signals) -> None:
    """And connections that nothing was asked on are closed."""
    hub = make_hub()
    hub.start()
    with socket.create_connection(("127.0.0.1", hub.port)) as idle:
        hub.process.send_signal(number)
        assert hub.process.wait(10) == 0
        assert idle.recv(1) == b""
