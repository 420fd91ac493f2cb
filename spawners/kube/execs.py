"""Exec in a container: the channels of the API server's WebSocket, and what comes of a program.

The protocol is Kubernetes' v5.channel.k8s.io (v4 without input): each message begins with its
channel's number; the last word is a Status on the error channel. `KubeClient.exec` is the caller.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from kworkspace.spawners.kube.errors import ExecFailed

V5, V4 = PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255
MOST_BYTES = 8 * 1024 * 1024
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended.

    Attributes:
        exit_code: 0 to 255.
        stdout: what it printed.
        stderr: what it printed there.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes


class _Output:
    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._channels: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
        self.error = bytearray()

    def take(self, message: bytes) -> None:
        if not message:
            return
        channel, content = message[0], memoryview(message)[1:]
        if channel == ERROR:
            self.error += content
        elif channel in self._channels:
            room = self._most - sum(map(len, self._channels.values()))
            self._channels[channel] += content[:room]
            if len(content) > room:
                raise self.failed(f"printed more than {self._most} bytes")

    def failed(self, what: str, **answer: Any) -> ExecFailed:
        return ExecFailed(
            f"{self._what} {what}",
            stdout=bytes(self._channels[STDOUT]),
            stderr=bytes(self._channels[STDERR]),
            **answer,
        )

    def result(self) -> Result:
        """Return how it ended, which the Status on the error channel says.

        Raises:
            ExecFailed: it did not run, or the Status says nothing of it.
        """
        try:
            status = msgspec.json.decode(bytes(self.error), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self.failed("was cut off: the connection ended before the program") from None
        if status.get("status") == "Success":
            code = 0
        elif (found := _exit_code(status)) is not None:
            code = found
        else:
            said = " ".join(str(status.get("message", "")).split())
            raise self.failed(
                f"did not run: {said}",
                reason=str(status.get("reason", "")),
                server_message=said,
            )
        return Result(code, bytes(self._channels[STDOUT]), bytes(self._channels[STDERR]))


def _exit_code(status: dict[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes or ():
        if cause.get("reason") == "ExitCode":
            try:
                return int(cause.get("message", ""))
            except ValueError:
                return None
    return None


async def converse(
    stream: aiohttp.ClientWebSocketResponse,
    *,
    stdin: bytes,
    timeout: float,
    what: str,
    most: int = MOST_BYTES,
) -> Result:
    """Send the input, collect the output, and return how the program ended.

    Args:
        stream: just opened.
        stdin: all of the input.
        timeout: seconds for all of it.
        what: names the program and the pod in errors.
        most: bytes that it may print.

    Raises:
        ExecFailed: with what was printed by then.
    """
    output = _Output(what, most)
    try:
        async with asyncio.timeout(timeout):
            if stdin:
                await _send(stream, stdin, output)
            async for message in stream:
                if message.type is aiohttp.WSMsgType.BINARY:
                    output.take(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    output.take(message.data.encode())
                elif message.type is aiohttp.WSMsgType.ERROR:
                    break
    except TimeoutError as error:
        raise output.failed(f"did not end within {timeout:g} s") from error
    if not output.error and (cause := stream.exception()) is not None:
        raise output.failed("was cut off: the connection broke") from cause
    return output.result()


async def _send(stream: aiohttp.ClientWebSocketResponse, stdin: bytes, output: _Output) -> None:
    if stream.protocol != V5:
        # v4 cannot say that the input has ended, and the program would wait for more of it.
        raise output.failed("cannot be given input: the cluster is older than Kubernetes 1.30")
    for start in range(0, len(stdin), CHUNK):
        await stream.send_bytes(bytes([STDIN]) + stdin[start : start + CHUNK])
    await stream.send_bytes(bytes([CLOSE, STDIN]))
