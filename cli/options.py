"""The options that the group and every command take, before and after the command's name.

What is given last, at the command, wins. `pass_flags` hands them to the command as one value.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kworkspace.cli.settings import Flags

F = TypeVar("F", bound=Callable[..., Any])

pass_flags = click.make_pass_decorator(Flags, ensure=True)


def _keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        setattr(context.ensure_object(Flags), parameter.name or "", value)


def shared_options(function: F) -> F:
    """Add --user, --ssh-key-path, --api, --config and --output."""
    for add in reversed(
        (
            _option("--user", metavar="NAME", help="User name at the hub."),
            _option("--ssh-key-path", metavar="FILE", help="SSH key to sign in with."),
            _option("--api", metavar="URL", help="The hub's URL."),
            _option("--config", metavar="FILE", help="Configuration file."),
            _option("-o", "--output", type=click.Choice(["text", "json"]), help="Result format."),
        )
    ):
        function = add(function)
    return function


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep, **attributes)


def _complete(context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from kworkspace.cli.completion import workspace_names  # noqa: PLC0415 - for shells alone

    return workspace_names(context.find_object(Flags) or Flags(), start)


def complete_profile(context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Complete a profile's name."""
    from kworkspace.cli.completion import profile_names  # noqa: PLC0415 - for shells alone

    return profile_names(context.find_object(Flags) or Flags(), start)


def complete_option(context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Complete NAME=VALUE of the profile that the line names, or of the default one."""
    from kworkspace.cli.completion import profile_choices  # noqa: PLC0415 - for shells alone

    flags = context.find_object(Flags) or Flags()
    return profile_choices(flags, context.params.get("profile"), start)


workspace_argument = click.argument("name", default="", metavar="[NAME]", shell_complete=_complete)
named_workspace_argument = click.argument("name", shell_complete=_complete)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
