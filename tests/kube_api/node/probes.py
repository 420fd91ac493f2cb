"""Probes of real containers, at their start or for readiness: tcpSocket, httpGet and exec."""

import asyncio
import contextlib
from typing import Protocol

from tests.kube_api.api.streams import Execution
from tests.kube_api.objects import Object


class Executes(Protocol):
    """What a probe can run a program in."""

    async def exec(self, argv: list[str], *, tty: bool = False) -> Execution:
        """Start a program."""


def probe_of(container: Object) -> Object | None:
    """Return what decides whether a container is ready; a node here knows one of the two kinds."""
    return container.get("startupProbe") or container.get("readinessProbe")


async def probe(container: Object, ip: str, run: Executes) -> str:
    """Return "" where a container's probe succeeds, or it has none; else what it found."""
    wanted = probe_of(container) or {}
    seconds = wanted.get("timeoutSeconds", 1)
    try:
        async with asyncio.timeout(seconds):
            if tcp := wanted.get("tcpSocket"):
                return await _tcp(tcp.get("host") or ip, _port(container, tcp["port"]))
            if http := wanted.get("httpGet"):
                port = _port(container, http["port"])
                return await _http(http.get("host") or ip, port, http.get("path", "/"))
            if program := wanted.get("exec"):
                return await _exec(run, program["command"])
    except TimeoutError:
        return f"command timed out after {seconds}s"
    return ""


def _port(container: Object, port: int | str) -> int:
    if isinstance(port, int):
        return port
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port)


async def _tcp(host: str, port: int) -> str:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return f"dial tcp {host}:{port}: connect: connection refused"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def _http(host: str, port: int, path: str) -> str:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        words = f"dial tcp {host}:{port}: connect: connection refused"
        return f'Get "http://{host}:{port}{path}": {words}'
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        line = await reader.readline()
    finally:
        writer.close()
    status = int(line.split()[1]) if len(line.split()) > 1 else 0
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


async def _exec(run: Executes, argv: list[str]) -> str:
    code, said = await collect(await run.exec(argv))
    return "" if code == 0 else said or f"exit status {code}"


async def collect(execution: Execution) -> tuple[int, str]:
    """Let a program run to its end; return exit code and output."""
    try:
        await execution.close_stdin()
        said = b"".join([chunk async for _, chunk in execution.output()])
        return await execution.wait(), said.decode(errors="replace")
    finally:
        await execution.aclose()
