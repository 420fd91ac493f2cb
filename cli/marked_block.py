"""A block of ours in a file of the person's, between two marks that name its hub.

    # >>> kworkspace URL >>>
    # <<< kworkspace URL <<<

Blocks stand at the top of the file, because of each option ssh takes the value that comes first
(ssh_config(5)): after a `Host *` they would come too late. What is not between our marks stays as
it is, byte for byte. Pure functions; `commands.ssh_config` reads and writes the file.
"""

import re
from dataclasses import dataclass

from kworkspace.cli.client.errors import KworkspaceError

_MARK = re.compile(rb"[ \t]*# (>>>|<<<) kworkspace (.*) \1[ \t\r]*\n?")


class BrokenMarks(KworkspaceError):
    """A mark without its other half: where the block ends is anybody's guess."""

    code = "broken-marks"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the file: the block of a hub, or, with `url` "", what is the person's."""

    url: str
    content: bytes


def parts(content: bytes) -> list[Part]:
    """Cut a file at the marks.

    Raises:
        BrokenMarks: the message names the line.
    """
    found: list[Part] = []
    url, piece, begun = "", b"", 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        match = _MARK.fullmatch(line)
        if match is None:
            piece += line
            continue
        name = match[2].decode(errors="replace")
        begins = match[1] == b">>>"
        if begins == bool(url) or (url and name != url):
            raise BrokenMarks(f"line {number}, '# {match[1].decode()} kworkspace', has no partner")
        if begins:
            found += [Part("", piece)] if piece else []
            url, piece, begun = name, line, number
        else:
            found.append(Part(url, piece + line))
            url, piece = "", b""
    if url:
        raise BrokenMarks(f"line {begun}, '# >>> kworkspace', has no partner")
    return [*found, Part("", piece)] if piece else found


def with_block(content: bytes, url: str, text: str) -> bytes:
    """Return the file with a hub's block, in place of the one before.

    Args:
        content: of the file.
        url: the hub's.
        text: the block's lines, without marks; "" takes the block away.

    Raises:
        BrokenMarks: the file's marks do not pair.
    """
    old = parts(content)
    top = next((i for i, part in enumerate(old) if not part.url), len(old))
    at = next((i for i in range(top) if old[i].url == url), 0)
    new = [part.content for i, part in enumerate(old) if part.url != url]
    if text:
        end = "\r\n" if b"\r\n" in content else "\n"
        marked = f"# >>> kworkspace {url} >>>\n{text}# <<< kworkspace {url} <<<\n"
        new.insert(at, marked.replace("\n", end).encode())
    return b"".join(new)
