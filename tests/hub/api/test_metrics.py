"""What a monitoring system reads of a hub, after real requests and starts."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.hub.api.conftest import Web


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's values by its labels' values, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
async def told(web: Web, ada: str, alice: str) -> str:
    """Return the metrics after a start of alice's, one that failed, and a request refused."""
    assert (await web("POST", "/hub/api/users/alice/server", alice)).status == 201
    assert (await web("GET", "/hub/api/users", alice)).status == 403
    reply = await web("GET", "/hub/metrics", ada)
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return reply.body.decode()


async def test_what_there_is(told: str) -> None:
    assert values(told, "kworkspace_users") == {(): 3.0}
    assert values(told, "kworkspace_servers")[("ready",)] == 1.0
    assert values(told, "kworkspace_servers")[("stopped",)] == 0.0


async def test_what_took_how_long(told: str) -> None:
    assert values(told, "kworkspace_server_start_duration_seconds_count") == {("ready",): 1.0}
    requests = values(told, "kworkspace_request_duration_seconds_count")
    assert requests["Server", "POST", "201"] == 1.0
    assert requests["Users", "GET", "403"] == 1.0


async def test_made_up_methods_are_one(web: Web, ada: str) -> None:
    for word in ("BREW", "WHEN"):
        assert (await web(word, "/health")).status == 405
    text = (await web("GET", "/hub/metrics", ada)).body.decode()
    requests = values(text, "kworkspace_request_duration_seconds_count")
    assert requests["Health", "other", "405"] == 2.0
    assert {method for _, method, _ in requests} <= {"GET", "POST", "other"}


async def test_nobody_is_named(told: str) -> None:
    assert "alice" not in told


async def test_who_may_read_them(web: Web, alice: str, ada: str) -> None:
    for path in ("/hub/metrics", "/hub/api/metrics"):
        assert (await web("GET", path)).status == 401
        assert (await web("GET", path, alice)).status == 403
        assert (await web("GET", path, ada)).status == 200
    web.parts.domain.metrics_need_token = False
    assert (await web("GET", "/hub/metrics")).status == 200
