"""Server-sent events (WHATWG HTML, section 9.2), as far as the hub sends them: `data:` lines.

A decoder without input or output of its own, so that both transports share it. It holds no more
than one event, and no more of that than MAX_EVENT bytes, whatever the other side sends.
"""

from collections.abc import Iterator

from kworkspace.cli.client.errors import HubUnreachable

MAX_EVENT = 2**20


class EventDecoder:
    """Turns chunks of a stream into the data of its events; comments keep the stream alive."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data = bytearray()  # each line with its newline

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that is complete with this chunk.

        Raises:
            HubUnreachable: an event is larger than MAX_EVENT bytes.
        """
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._hold(part)
            line = self._line.removesuffix(b"\r")
            self._line.clear()
            if line.startswith(b"data:"):
                self._data += line[5:].removeprefix(b" ") + b"\n"
            elif not line and self._data:
                yield bytes(self._data[:-1])
                self._data.clear()
        self._hold(rest)

    def _hold(self, part: bytes) -> None:
        if len(self._data) + len(self._line) + len(part) > MAX_EVENT:
            raise HubUnreachable(
                f"an event of the stream is larger than {MAX_EVENT >> 20} MB: that is not a"
                " kworkspace hub's; check the URL"
            )
        self._line += part
