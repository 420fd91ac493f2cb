"""Names that look alike: Unicode's confusable characters (UTS #39, section 4).

Two names that a person cannot tell apart have the same skeleton. The characters come from
Unicode's confusables.txt as the package confusable-homoglyphs carries it; what Unicode does not
call confusable (`cl` and `d`, one accent too many) is not found. Pure functions; slow ones at
first, when the table is read, so call them beside the event loop.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources


def find_lookalikes(new: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each new name that looks like another one, with that one.

    Args:
        new: names to be given; they are compared with each other too.
        known: names that there are.
    """
    seen = {skeleton(name): name for name in known}
    for name in new:
        other = seen.setdefault(skeleton(name), name)
        if other != name:
            yield name, other


def skeleton(name: str) -> str:
    """Return what is the same for all names that look alike; to compare, never to show."""
    table = _prototypes()
    # Twice, because a prototype of several characters is made of others'.
    text = unicodedata.normalize("NFD", name).translate(table).translate(table)
    return unicodedata.normalize("NFD", text)


@cache
def _prototypes() -> Mapping[int, str]:
    """Return one representative for each character of a set of confusable ones."""
    file = resources.files("confusable_homoglyphs") / "confusables.json"
    alike = {
        text: [entry["c"] for entry in entries]
        for text, entries in json.loads(file.read_text("utf-8")).items()
    }
    prototypes: dict[int, str] = {}
    done: set[str] = set()
    for text in alike:
        if text not in done:
            members = _connected(text, alike)
            done |= members
            best = max(members, key=lambda member: (len(member) > 1, member))
            prototypes |= {ord(member): best for member in members if len(member) == 1}
    return prototypes


def _connected(text: str, alike: Mapping[str, list[str]]) -> set[str]:
    found, waiting = {text}, [text]
    while waiting:
        new = set(alike[waiting.pop()]) - found
        found |= new
        waiting += new
    return found
