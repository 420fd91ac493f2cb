"""Lists in pages, whole and in order, whatever is asked for."""

import pytest

from kworkspace.hub.api.paging import PAGINATED
from tests.hub.api.conftest import OpenWeb, Web
from tests.hub.parts import OpenParts


async def test_pages(open_hub: OpenParts, open_web: OpenWeb) -> None:
    names = sorted({"ada", *(f"user{number:03}" for number in range(204))})
    web = open_web(await open_hub(users=dict.fromkeys(names, ())))
    ada = await web.parts.token("ada")

    async def page(query: str) -> list[str]:
        return [user["name"] for user in (await web("GET", f"/hub/api/users{query}", ada)).json]

    assert await page("") == names[:200]
    assert await page("?offset=200") == names[200:]
    assert await page("?offset=3&limit=2") == names[3:5]
    assert await page("?limit=1000") == names[:200]
    assert await page("?limit=0") == names[:1]
    assert await page("?offset=999") == []
    seen: list[str] = []
    url = "/hub/api/users?limit=100"
    while url:
        reply = await web("GET", url, ada, Accept=PAGINATED)
        seen += [user["name"] for user in reply.json["items"]]
        paging = reply.json["_pagination"]
        assert (paging["total"], paging["limit"]) == (205, 100)
        following = paging["next"]
        url = following["url"].removeprefix(web.url) if following else ""
        assert not following or following["offset"] == len(seen)
    assert seen == names


@pytest.mark.parametrize("value", ["-1", "x", "", "1.5", "1" * 10, "%ff", "٣"])
@pytest.mark.parametrize("name", ["offset", "limit"])
async def test_page_numbers_that_cannot_be(web: Web, ada: str, name: str, value: str) -> None:
    status, message = (await web("GET", f"/hub/api/users?{name}={value}", ada)).error
    assert status == 400
    assert name in message
