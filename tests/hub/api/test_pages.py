"""The page: what runs and how to go on; nothing in it but what we serve."""

import re

import pytest

from tests.hub.api.conftest import OpenWeb, Web
from tests.hub.parts import DOOR, OpenParts


@pytest.mark.parametrize("base_url", ["/", "/kw/", "/a/b/"])
async def test_home(open_hub: OpenParts, open_web: OpenWeb, base_url: str) -> None:
    web = open_web(await open_hub(base_url=base_url))
    await web.parts.ready()
    web.parts.gateways.report("gw-1", DOOR)
    reply = await web("GET", base_url)
    page = reply.body.decode()
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    assert "1 running" in page
    assert "ssh -p 2222 NAME@hub.example" in page
    assert f"[hub.example]:2222 {DOOR.host_keys[0]}" in page
    assert f"kworkspace --api {web.url}{base_url.rstrip('/')} connect" in page
    assert (await web("GET", f"{base_url}hub/api/")).json["ssh"]["port"] == 2222
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links == [f"{base_url}static/page.css"]
    style = await web("GET", links[0])
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css")
    if base_url != "/":
        assert (await web("GET", "/")).status == 404
        assert (await web("GET", "/hub/api/")).status == 404
        assert (await web("GET", "/health")).status == 200


async def test_before_it_is_ready_and_without_a_gateway(web: Web) -> None:
    web.parts.domain.ready = False
    page = (await web("GET", "/")).body.decode()
    assert "starting up" in page
    assert "the gateway is not up yet" in page
    assert "NAME@" not in page


async def test_policy_and_what_it_forbids(web: Web) -> None:
    for path in ("/", "/static/page.css", "/static/nothing"):
        policy = (await web("GET", path)).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
    page = (await web("GET", "/")).body.decode()
    for forbidden in ("<script", "style=", " on", "javascript:", "http://fonts"):
        assert forbidden not in re.sub(r">[^<]*<", "><", page)


async def test_what_a_browser_says_of_itself_is_text(web: Web) -> None:
    page = (await web("GET", "/", Host="<script>alert(1)</script>")).body
    assert b"<script" not in page


@pytest.mark.parametrize(
    "path", ["nothing", "../templates/home.html", "%2e%2e/templates/home.html", "..%2f__init__.py"]
)
async def test_other_files_are_not_served(web: Web, path: str) -> None:
    reply = await web("GET", f"/static/{path}")
    assert reply.status in {403, 404}
    assert reply.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert b"<h1>40" in reply.body
    assert b"dt>" not in reply.body
    assert b'href="/static/page.css"' in reply.body


async def test_file_that_has_not_changed(web: Web) -> None:
    first = await web("GET", "/static/page.css")
    again = await web("GET", "/static/page.css", If_None_Match=first.headers["Etag"])
    assert (again.status, again.body) == (304, b"")


async def test_commands_of_the_configuration(web: Web) -> None:
    """What an admin tells people to type takes the place of what we would; as text."""
    web.parts.domain.templates.globals["commands"] = ["kworkspace connect", "<b>&"]
    web.parts.gateways.report("gw-1", DOOR)
    page = (await web("GET", "/")).body.decode()
    assert "kworkspace connect\n&lt;b&gt;&amp;</pre>" in page
    assert "NAME@" not in page
