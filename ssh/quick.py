"""A login without waiting for delayed acknowledgements (RFC 1122, section 4.2.3.2; tcp(7)).

OpenSSH's client leaves Nagle's algorithm on until its session starts, and twice during key exchange
it writes two packets in a row: the second waits until the first is acknowledged, which Linux puts
off for 40 ms. TCP_QUICKACK says "now", and does so until the next packet is sent.
"""

import socket

import asyncssh


def acknowledge_quickly(
    connection: asyncssh.SSHServerConnection | asyncssh.SSHClientConnection,
) -> None:
    """Acknowledge what arrives on this connection at once.

    Args:
        connection: as `connection_made` of an SSHServer or SSHClient gets it. Nothing happens where
            the system has no TCP_QUICKACK, or the connection no socket.
    """
    sock: socket.socket | None = connection.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_QUICKACK"):
        return
    deliver = connection.data_received

    def received(data: bytes, datatype: asyncssh.DataType = None) -> None:
        deliver(data, datatype)
        if sock.fileno() >= 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    # asyncio calls the protocol's method by its name on each arrival.
    connection.data_received = received  # type: ignore[method-assign]
