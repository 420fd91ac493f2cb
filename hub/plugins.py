"""A trait that takes a class, a dotted path, or an entry point's name, as JupyterHub's does."""

from importlib.metadata import entry_points
from typing import Any

from traitlets import TraitError, Type


class EntryPointType(Type[Any, Any]):
    """A class of a kind that can be plugged in.

    Args:
        default_value: a class, path or name.
        entry_point_group: where installed packages name theirs, as `kworkspace.spawners`.
        klass: what it must be a subclass of.
    """

    def __init__(self, default_value: Any, *, entry_point_group: str, klass: Any, **kwargs: Any):
        self.entry_point_group = entry_point_group
        super().__init__(default_value, klass=klass, **kwargs)

    def names(self) -> list[str]:
        """Return the names that can be given."""
        return sorted(entry_points(group=self.entry_point_group).names)

    def _resolve_string(self, string: str) -> Any:
        """Return the class that a name or dotted path means; traitlets asks for both here."""
        if "." not in string:
            try:
                return entry_points(group=self.entry_point_group)[string].load()
            except KeyError:
                raise TraitError(
                    f"The '{self.name}' trait has no '{string}'; there is"
                    f" {', '.join(self.names())}, or give a class or its dotted path"
                ) from None
        try:
            return super()._resolve_string(string)
        except ImportError as error:
            raise TraitError(
                f"The '{self.name}' trait: '{string}' cannot be imported: {error}"
            ) from None
