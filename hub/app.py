"""The command `kworkspace-hub`: reads the configuration, says what is wrong with it, and runs."""

import argparse
import asyncio
import logging
import logging.config
import os
import resource
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn, cast

from traitlets import Bool, TraitError, Unicode, default, observe
from traitlets.config import Config
from traitlets.config.loader import (
    ConfigLoaderError,
    KVArgParseConfigLoader,
    PyFileConfigLoader,
)

from kworkspace.authenticators.base import Authenticator
from kworkspace.authenticators.dummy import DummyAuthenticator
from kworkspace.authenticators.null import NullAuthenticator
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub import __version__, logs
from kworkspace.hub.config import HubOptions
from kworkspace.hub.config_check import ConfigError, check_options, explain
from kworkspace.hub.run import run
from kworkspace.spawners.base import Spawner
from kworkspace.spawners.local import LocalSpawner

MOST_FILES = 65536
_COMMANDS = "kworkspace.hub.admin_commands"
CLASSES: list[Any] = [
    Spawner,
    LocalSpawner,
    Authenticator,
    SSHKeyAuthenticator,
    DummyAuthenticator,
    NullAuthenticator,
]


class Hub(HubOptions):
    """The hub of kworkspace: a persistent development machine for everybody, one ssh away."""

    name = "kworkspace-hub"
    version = __version__
    description = "The hub: REST, the life cycle of workspaces, and the gateway as its service."
    examples = """
    kworkspace-hub -f hub_config.py           # run the hub
    kworkspace-hub --generate-config          # write hub_config.py with every option
    kworkspace-hub user add NAME...           # let somebody in who is not in the configuration
    kworkspace-hub key add NAME 'LINE'        # with this public key
    kworkspace-hub invite NAME                # or have them add their key themselves
    kworkspace-hub token NAME                 # print a token for a user
    kworkspace-hub check                      # say whether workspaces can be started here
    kworkspace-hub ca show                    # what SSH keys are trusted, and which one signs
    kworkspace-hub upgrade-db                 # after an update: a copy, then the new tables
    """
    classes = [*CLASSES]
    subcommands: dict[str, Any] = {
        "user": (f"{_COMMANDS}.UserApp", "Add, list, rename and remove users."),
        "key": (f"{_COMMANDS}.KeyApp", "Add, list and remove public keys."),
        "invite": (
            "kworkspace.hub.invite_command.InviteApp",
            "Print a code with which a user adds their key themselves.",
        ),
        "token": (f"{_COMMANDS}.TokenApp", "Print a new API token for a user."),
        "check": (f"{_COMMANDS}.CheckApp", "Check what the spawner needs."),
        "ca": ("kworkspace.hub.ca_command.CaApp", "Show and rotate the SSH authorities."),
        "upgrade-db": (
            "kworkspace.hub.upgrade_command.UpgradeApp",
            "Bring the database of an older version to this one.",
        ),
    }
    aliases = {
        "f": "Hub.config_file",
        "config": "Hub.config_file",
        "log-level": "Hub.log_level",
    }
    flags = {
        "generate-config": (
            {"Hub": {"generate_config": True}},
            "Write a configuration file with every option and its help, and end.",
        ),
        "debug": ({"Hub": {"log_level": "DEBUG"}}, "Log everything."),
    }

    takes_words = False

    config_file = Unicode("hub_config.py", help="The configuration file.").tag(config=True)
    generate_config = Bool(False, help="Write a configuration file and end.").tag(config=True)

    @default("log")
    def _default_log(self) -> logging.Logger:
        log = logging.getLogger("kworkspace.hub")
        log.addFilter(_leave_to_check_options)
        return log

    @observe("log_json")
    def _log_otherwise(self, _change: object) -> None:
        self._configure_logging()

    def _configure_logging(self) -> None:
        logs.set_up(
            cast(int | str, self.log_level),
            self.log_format,
            self.log_datefmt,
            as_json=self.log_json,
        )
        if self.logging_config:
            logging.config.dictConfig({"version": 1, "incremental": True, **self.logging_config})

    def _classes_inc_parents(self, classes: Any = None) -> Generator[Any, None, None]:
        """Every class of the generated configuration; `c.Hub` is where its options belong."""
        found = super()._classes_inc_parents(classes)
        yield from (kind for kind in found if kind not in HubOptions.__mro__)

    def initialize(self, argv: Any = None) -> None:
        """Read command line and configuration file; the command line wins.

        Raises:
            ConfigError: an option is wrong.
        """
        self.parse_command_line(argv)
        if self.subapp is not None or self.generate_config:
            return
        file = self._load_file()
        self._take(file)

    def parse_command_line(self, argv: Any = None) -> None:
        """Parse the command line; what is wrong is raised, not logged."""
        argv = _command_first(sys.argv[1:] if argv is None else list(argv), self.subcommands)
        parse = HubOptions.parse_command_line.__wrapped__  # type: ignore[attr-defined]
        try:
            parse(self, argv)
        except TraitError as error:
            raise explain(error, Config(), None) from error
        except (argparse.ArgumentError, ConfigLoaderError) as error:
            raise ConfigError(f"{error}; see kworkspace-hub --help") from error

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> "_Loader":
        return _Loader(argv, aliases, flags, classes=classes, log=self.log)

    def _load_file(self) -> Path | None:
        file = Path(self.config_file).absolute()
        if not file.exists():
            if "config_file" in self.cli_config.get("Hub", {}):
                raise ConfigError(f"The configuration file {file} does not exist")
            return None
        loader = PyFileConfigLoader(file.name, path=str(file.parent))
        try:
            config = loader.load_config()
        except SyntaxError as error:
            raise ConfigError(f"{error.filename}:{error.lineno}: {error.msg}") from error
        except Exception as error:
            line = _line_in(error, file)
            raise ConfigError(f"{file}{line}: {type(error).__name__}: {error}") from error
        self._apply(config, file)
        return file

    def _take(self, file: Path | None) -> None:
        self._apply(self.cli_config, file)
        classes = [type(self), *CLASSES, self.spawner_class, self.authenticator_class]
        check_options(self.config, classes, file)
        if self.extra_args and not self.takes_words:
            raise ConfigError(f"'{self.extra_args[0]}' is not a command; see kworkspace-hub --help")
        self.file = file

    def _apply(self, config: Config, file: Path | None) -> None:
        try:
            self.update_config(config)
        except TraitError as error:
            raise explain(error, config, file) from error

    def start(self) -> None:
        """Run what the command line asked for."""
        if self.subapp is not None:
            self.subapp.start()
        elif self.generate_config:
            self._write_config()
        else:
            self._run()

    def _run(self) -> None:
        if self.file is None:
            self.log.warning("No configuration: there is no %s here", self.config_file)
        try:
            asyncio.run(run(self))
        except TraitError as error:
            raise explain(error, self.config, self.file) from error

    def _write_config(self) -> None:
        file = Path(self.config_file)
        try:
            with file.open("x") as stream:
                stream.write(self.generate_config_file())
        except FileExistsError:
            raise ConfigError(
                f"{file} exists already: move it away, or name another one with -f"
            ) from None
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
        sys.stdout.write(f"Wrote {file}\n")


class _Parser(KVArgParseConfigLoader.parser_class):  # type: ignore[misc, valid-type]  # untyped
    """Takes words and options in any order, and raises what is wrong."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse them all."""
        return self.parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise ConfigError(f"{message}; see kworkspace-hub --help")


class _Loader(KVArgParseConfigLoader):
    parser_class = _Parser


def _command_first(argv: list[str], commands: dict[str, Any]) -> list[str]:
    """Return the arguments with the command before its options, where traitlets wants it."""
    for index, word in enumerate(argv):
        after = argv[index - 1] if index else ""
        if word in commands and after not in {"-f", "--config", "--log-level"}:
            return [word, *argv[:index], *argv[index + 1 :]]
    return argv


def _leave_to_check_options(record: logging.LogRecord) -> bool:
    """Drop what traitlets says of an unknown option: `check_options` says it, with the line."""
    return "not recognized by" not in record.getMessage()


def _line_in(error: BaseException, file: Path) -> str:
    """Return `:LINE` of the file in an exception's traceback."""
    line, frame = "", error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(file):
            line = f":{frame.tb_lineno}"
        frame = frame.tb_next
    return line


def main() -> None:
    """Run `kworkspace-hub`; what a person can mend is one line and exit code 1."""
    os.umask(0o077)  # database, keys and logs are nobody else's
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = min(most, MOST_FILES) if most != resource.RLIM_INFINITY else MOST_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))  # the usual 1,024 are too few
    try:
        Hub.launch_instance()
    except KworkspaceError as error:
        sys.stderr.write(f"kworkspace-hub: {error}\n")
        sys.exit(1)
