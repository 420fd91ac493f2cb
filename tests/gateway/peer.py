"""The other end of a forwarded port or socket; a program, and a service.

    peer ADDRESS [--socks HOST:PORT]    talk to a port or a socket's path, by a SOCKS5 proxy there
    peer FILE --serve echo|count        serve on a port, whose number is written to the file

As a program it is netcat with a half-close that means something. The table runs it hundreds of
times: what a client does not need is imported where it is needed.
"""

import os
import socket
import sys
import threading
import time

SECONDS = 30.0


def connect(address: str) -> socket.socket:
    """Connect to a port, of the loopback if it names no host, or to a socket's path."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        return socket.create_connection((host or "127.0.0.1", int(port)), SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    connection.connect(address)
    return connection


def ask_for(connection: socket.socket, host: str, port: int) -> None:
    """Have a SOCKS5 proxy connect (RFC 1928); the name is for the proxy to look up."""
    connection.sendall(b"\x05\x01\x00")
    assert connection.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
    name = host.encode()
    connection.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
    answer = connection.recv(10, socket.MSG_WAITALL)
    if answer[1:2] != b"\x00":
        raise SystemExit(f"refused: {answer[1:2].hex()}")


def talk(connection: socket.socket) -> None:
    """Send standard input, end the sending direction, and print whatever comes until it ends."""

    def send() -> None:
        try:
            while chunk := os.read(0, 65536):
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the reader sees it as well

    threading.Thread(target=send, daemon=True).start()
    while chunk := connection.recv(65536):
        os.write(1, chunk)


def echo(connection: socket.socket) -> None:
    """Say everything again, at once."""
    while chunk := connection.recv(65536):
        connection.sendall(chunk)


def count(connection: socket.socket) -> None:
    """Wait for the end, say how much came and what it was, and then a page of 300 kB."""
    import hashlib  # noqa: PLC0415

    size, digest = 0, hashlib.sha256()
    while chunk := connection.recv(65536):
        size += len(chunk)
        digest.update(chunk)
    connection.sendall(f"{size} {digest.hexdigest()}\n".encode() + b"page " * 60_000)


def serve(listening: socket.socket, kind: str) -> None:
    """Serve each connection in a thread, until the listening socket is shut down."""

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(SECONDS)
            try:
                (echo if kind == "echo" else count)(connection)
            except OSError:
                return  # whoever asked is gone

    while True:
        try:
            connection = listening.accept()[0]
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def main() -> None:
    """Connect, or serve for half a minute."""
    address, *options = sys.argv[1:]
    flag, value = options or ("", "")
    if flag == "--serve":
        from pathlib import Path  # noqa: PLC0415

        listening = socket.create_server(("127.0.0.1", 0))
        new = Path(f"{address}.new")
        new.write_text(f"{listening.getsockname()[1]}\n")
        new.rename(address)
        threading.Thread(target=serve, args=(listening, value), daemon=True).start()
        time.sleep(SECONDS)
        return
    try:
        with connect(address) as connection:
            if flag == "--socks":
                host, _, port = value.rpartition(":")
                ask_for(connection, host, int(port))
            talk(connection)
    except OSError as error:
        sys.exit(f"peer: {error.strerror}")


if __name__ == "__main__":
    main()
