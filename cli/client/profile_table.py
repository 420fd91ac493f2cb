"""`start --profile ?`: what a workspace can be started as."""

from collections.abc import Sequence

from kworkspace.cli.client.layout import NOTHING, PLAIN, Cell, Screen, table
from kworkspace.cli.client.models import Profile, ProfileOption


def profiles_picture(profiles: Sequence[Profile], screen: Screen = PLAIN) -> list[str]:
    """Return a table of what can be asked for, or the sentence that there is nothing."""
    if not profiles:
        return ["This hub has no profiles."]
    heads = ["PROFILE", "NAME", "DESCRIPTION"]
    rows = [
        [
            Cell(f"{one.slug} (default)" if one.default else one.slug, bold=True),
            Cell(one.display_name),
            Cell(one.description or NOTHING),
        ]
        for one in profiles
    ]
    if any(one.options for one in profiles):
        heads.append("OPTIONS")
        for row, one in zip(rows, profiles, strict=True):
            row.append(Cell("; ".join(map(_choices, one.options)) or NOTHING))
    return table(heads, rows, screen)


def _choices(option: ProfileOption) -> str:
    """Return an option with its values; the first is the default."""
    values = sorted(option.choices, key=lambda choice: choice != option.default)
    if option.unlisted:
        values.append(f"({option.unlisted})")
    return f"{option.name}={' | '.join(values)}"
