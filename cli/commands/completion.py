"""`kworkspace completion`: the script with which a shell completes its commands."""

import click
from click.shell_completion import get_completion_class

from kworkspace.cli.client.errors import KworkspaceError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and workspaces.

    \b
    bash: echo 'eval "$(kworkspace completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(kworkspace completion zsh)"' >> ~/.zshrc
    fish: kworkspace completion fish > ~/.config/fish/completions/kworkspace.fish

    Names of workspaces are asked from the hub while you are signed in. bash must be 4.4 or newer
    (macOS: brew install bash), and zsh needs compinit before that line.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise KworkspaceError(f"there is no completion for {shell}")
    script = kind(context.find_root().command, {}, "kworkspace", "_KWORKSPACE_COMPLETE")
    # click's own `source` starts a bash only to look at its version.
    click.echo(script.source_template % script.source_vars())
