"""The gateway's settings: flags, and the environment that the hub gives its services.

What is wrong with them is one line for the person who started it (SystemExit), never a traceback.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kworkspace.cli.client.proxies import Networks, trusted_networks
from kworkspace.gateway.limits import Limits

DEFAULT_LISTEN = "127.0.0.1:2222"
WORKER = "KWORKSPACE_GATEWAY_IS_WORKER"
_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Settings:
    """How one gateway runs.

    Attributes:
        listen_host: the address to listen on.
        listen_port: the TCP port; 0 takes a free one.
        host_key: the file of the gateway's own host key; made when it does not exist.
        api_url: the hub's URL, without `/hub/api`.
        token_file: the file with the API token.
        public_host: the name under which people reach the door.
        public_port: the port under which they do; 0 means the one that it listens on.
        log_level: a level of `logging`.
        log_format: "text" or "json", an object per line.
        limits: what it takes.
        tunnel_listen: address and TCP port to listen on for tunnels; None: there are none.
        trusted_proxies: whose word counts on where a tunnel's request came from.
        workers: processes that share the port.
        is_worker: whether this is one of several; it may share its ports, and ends when its
            standard input does.
    """

    listen_host: str
    listen_port: int
    host_key: Path
    api_url: str
    token_file: Path
    public_host: str
    public_port: int
    log_level: str
    log_format: str
    limits: Limits
    tunnel_listen: tuple[str, int] | None
    trusted_proxies: Networks
    workers: int
    is_worker: bool


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _optional_address(text: str) -> tuple[str, int] | None:
    return _address(text) if text else None


def _networks(text: str) -> Networks:
    try:
        return trusted_networks(part.strip() for part in text.split(",") if part.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 0 to 65535")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) >= 10**9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 on")
    return int(text)


def _url(text: str) -> str:
    url = text.rstrip("/").removesuffix("/hub/api")
    if not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"'{text}' is not the http or https URL of a hub")
    return url


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kworkspace.gateway",
        description="The SSH door of a kworkspace hub. Each option can also be set in the"
        " environment, under the name in brackets.",
        allow_abbrev=False,
    )

    def add(flag: str, variable: str, default: str | None, help: str, **kwargs: object) -> None:
        value = environment.get(variable, default)
        parser.add_argument(
            flag,
            default=value,
            required=value is None,
            help=f"{help} [{variable}]",
            **kwargs,  # type: ignore[arg-type]  # argparse's own keywords
        )

    add("--listen", "KWORKSPACE_GATEWAY_LISTEN", DEFAULT_LISTEN, "HOST:PORT", type=_address)
    add(
        "--tunnel-listen",
        "KWORKSPACE_GATEWAY_TUNNEL_LISTEN",
        "",
        "HOST:PORT for tunnels, by HTTP: a loopback address, or behind a proxy that speaks TLS;"
        " default: no tunnels",
        type=_optional_address,
    )
    add(
        "--trusted-proxies",
        "KWORKSPACE_GATEWAY_TRUSTED_PROXIES",
        "",
        "addresses or networks of the proxies before the port for tunnels, with commas between"
        " them, whose X-Forwarded-For counts; default: none",
        type=_networks,
    )
    add(
        "--host-key",
        "KWORKSPACE_GATEWAY_HOST_KEY",
        None,
        "file of the SSH host key; an ed25519 key is made when there is none",
        type=Path,
    )
    add("--api-url", "KWORKSPACE_API_URL", None, "the hub's URL", type=_url)
    add(
        "--token-file",
        "KWORKSPACE_API_TOKEN_FILE",
        None,
        "file with the API token, readable by its owner only",
        type=Path,
    )
    add(
        "--public-host",
        "KWORKSPACE_GATEWAY_PUBLIC_HOST",
        "",
        "the host name that people dial; default: where it listens",
    )
    add(
        "--public-port",
        "KWORKSPACE_GATEWAY_PUBLIC_PORT",
        "0",
        "the port that people dial; default: where it listens",
        type=_port,
    )
    add(
        "--log-level",
        "KWORKSPACE_LOG_LEVEL",
        "INFO",
        "DEBUG, INFO, WARNING or ERROR",
        type=str.upper,
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
    )
    add(
        "--log-format",
        "KWORKSPACE_LOG_FORMAT",
        "text",
        "text, or json: one object per line",
        choices=["text", "json"],
    )
    add(
        "--login-grace",
        "KWORKSPACE_GATEWAY_LOGIN_GRACE",
        str(_DEFAULT.login_grace),
        "seconds within which who connects must have logged in",
        type=_positive,
    )
    add(
        "--max-strangers",
        "KWORKSPACE_GATEWAY_MAX_STRANGERS",
        str(_DEFAULT.strangers),
        "connections that may be without a login at one time; when one more comes, another goes",
        type=_positive,
    )
    add(
        "--max-strangers-per-address",
        "KWORKSPACE_GATEWAY_MAX_STRANGERS_PER_ADDRESS",
        str(_DEFAULT.strangers_per_address),
        "how many of these may come from one address",
        type=_positive,
    )
    add(
        "--drain",
        "KWORKSPACE_GATEWAY_DRAIN",
        str(_DEFAULT.drain),
        "seconds that sessions may go on after SIGTERM; a second SIGTERM ends them at once",
        type=_number,
    )
    add(
        "--workers",
        "KWORKSPACE_GATEWAY_WORKERS",
        "1",
        "processes that share the port, for more cores than one",
        type=_positive,
    )
    return parser


def parse(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings, or end the process with one line and status 2.

    Args:
        argv: the arguments, without the program's name.
        environment: default: the process's own.
    """
    environment = os.environ if environment is None else environment
    given = _parser(environment).parse_args(argv)
    host, port = given.listen
    return Settings(
        listen_host=host,
        listen_port=port,
        host_key=given.host_key,
        api_url=given.api_url,
        token_file=given.token_file,
        public_host=given.public_host or host,
        public_port=given.public_port,
        log_level=given.log_level,
        tunnel_listen=given.tunnel_listen,
        trusted_proxies=given.trusted_proxies,
        log_format=given.log_format,
        limits=Limits(
            login_grace=given.login_grace,
            strangers=given.max_strangers,
            strangers_per_address=given.max_strangers_per_address,
            drain=given.drain,
        ),
        workers=given.workers,
        is_worker=WORKER in environment,
    )
