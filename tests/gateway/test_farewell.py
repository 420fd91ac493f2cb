"""What a disconnect says is read, and nothing is heard after it."""

import asyncio

import asyncssh
import pytest

from kworkspace.gateway import farewell


class Server(asyncssh.SSHServer):
    """Lets everybody in, and keeps the connection."""

    def __init__(self) -> None:
        self.conn: asyncio.Future[asyncssh.SSHServerConnection] = asyncio.Future()
        self.asked: list[str] = []

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.conn.set_result(conn)

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> bool:
        self.asked.append("session")
        return False


async def test_connection_ends_also_when_the_client_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not close is cut, and what it asks for meanwhile is not heard."""
    monkeypatch.setattr(farewell, "LINGER_SECONDS", 0.2)
    server = Server()
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: server, server_host_keys=[key]
    ) as acceptor:
        client = await asyncssh.connect(
            "127.0.0.1", acceptor.get_port(), config=None, known_hosts=None, client_keys=None
        )
        handlers = {**client._packet_handlers, 1: lambda *_: None}
        monkeypatch.setattr(client, "_packet_handlers", handlers)
        conn = await server.conn
        for _ in range(2):
            farewell.disconnect(conn, asyncssh.DISC_BY_APPLICATION, "Good bye")
        with pytest.raises((asyncssh.Error, OSError)):
            await asyncio.wait_for(client.open_session(), 20)
        await asyncio.wait_for(client.wait_closed(), 20)
        await asyncio.wait_for(conn.wait_closed(), 20)
        farewell.disconnect(conn, asyncssh.DISC_BY_APPLICATION, "Good bye")
    assert server.asked == []
