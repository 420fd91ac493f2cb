"""The other end of a forwarded port or socket: `peer.py --help`; a program, and a service.

As a program it is netcat with a half-close that means something, and it speaks SOCKS5.
"""

import argparse
import hashlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

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
    parser = argparse.ArgumentParser()
    parser.add_argument("address", help="a port of 127.0.0.1, or a socket's path")
    parser.add_argument("--socks", metavar="HOST:PORT", help="the address is a SOCKS5 proxy's")
    parser.add_argument("--serve", choices=["echo", "count"], help="write the port to the address")
    given = parser.parse_args()
    if given.serve:
        listening = socket.create_server(("127.0.0.1", 0))
        new = Path(f"{given.address}.new")
        new.write_text(f"{listening.getsockname()[1]}\n")
        new.rename(given.address)
        threading.Thread(target=serve, args=(listening, given.serve), daemon=True).start()
        time.sleep(SECONDS)
        return
    try:
        with connect(given.address) as connection:
            if given.socks:
                host, _, port = given.socks.rpartition(":")
                ask_for(connection, host, int(port))
            talk(connection)
    except OSError as error:
        sys.exit(f"peer: {error.strerror}")


if __name__ == "__main__":
    main()
