"""Kinds of options of the Kubernetes spawner: each checks its value when it is set.

A wrong value is a `TraitError` that begins with `c.KubeSpawner.NAME`, from the configuration and
from a profile alike. Where an option may be a callable, the value that it returns for a workspace
is checked in the same way when it is there.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from traitlets import TraitError, TraitType

from kworkspace.spawners.kube import schema, templates
from kworkspace.spawners.kube.own import BOOT, OWN_PREFIX, check_label
from kworkspace.spawners.kube.quantities import QuantityError, parse_quantity, quantity_text

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_VARIABLE = re.compile(r"[^=\x00-\x20\x7f-\uffff]+")
SAMPLE = dict.fromkeys(templates.FIELDS, "x")


class Kube(TraitType[Any, Any]):
    """The base: a value that `check` makes of what was given, or a callable.

    Args:
        default_value: as in traitlets.
        may_call: whether a callable is allowed, which gets (spawner, workspace).
        templated: whether texts are templates.
        also: checks the value once more; raises `SchemaError`.
        **kwargs: as in traitlets.
    """

    default_value = None

    def __init__(
        self,
        default_value: Any = None,
        *,
        may_call: bool = False,
        templated: bool = False,
        also: Callable[[Any], None] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("allow_none", default_value is None)
        super().__init__(default_value, **kwargs)
        self.may_call = may_call
        self.templated = templated
        self.also = also

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value as it is kept; traitlets calls it."""
        if callable(value):
            if self.may_call:
                return value
            raise self.wrong(f"it cannot be a callable: {value!r}")
        try:
            checked = self.check(value)
            if self.also is not None:
                self.also(listed(checked) if isinstance(self, Objects) else checked)
            if self.templated:
                templates.expand_all(checked, SAMPLE)
        except (schema.SchemaError, QuantityError, templates.TemplateError) as error:
            raise self.wrong(str(error)) from None
        return checked

    def check(self, value: Any) -> Any:
        """Return the value as it is kept.

        Raises:
            SchemaError: it is wrong, as are those of `QuantityError` and `TemplateError`.
        """
        raise NotImplementedError

    def wrong(self, what: str) -> TraitError:
        """Return the error for a wrong value."""
        separator = "" if what.startswith("[") else ": "
        return TraitError(f"c.KubeSpawner.{self.name}{separator}{what}")


class Text(Kube):
    """A text that is not empty, or None."""

    def check(self, value: Any) -> Any:
        """Refuse what is no text, or empty."""
        if not isinstance(value, str):
            raise schema.SchemaError(f"expected a text, not {value!r}")
        if not value.strip():
            raise schema.SchemaError("it is empty")
        return value


class MaybeEmpty(Text):
    """A text that may be empty, or None."""

    def check(self, value: Any) -> Any:
        """Refuse what is no text."""
        return value if value == "" else super().check(value)


class Choices(Kube):
    """A list of words out of some.

    Args:
        default_value: those that are taken if nothing is said.
        choices: what there is.
    """

    def __init__(self, default_value: list[str], *, choices: tuple[str, ...], **kwargs: Any):
        super().__init__(default_value, **kwargs)
        self.choices = choices

    def check(self, value: Any) -> Any:
        """Refuse words that there are not, and none at all."""
        words = schema.conform(value, "list[str]")
        for word in words:
            if word not in self.choices:
                raise schema.SchemaError(
                    f"there is no {word!r}; there is {', '.join(self.choices)}"
                )
        if not words:
            raise schema.SchemaError("it is empty")
        return words


class References(Kube):
    """A list of names of objects: texts, or dictionaries as {"name": NAME}; or one text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([], **kwargs)

    def check(self, value: Any) -> Any:
        """Return dictionaries."""
        if isinstance(value, str):
            value = [value] if value else []
        if not isinstance(value, list | tuple):
            raise schema.SchemaError(f"expected a list, not {value!r}")
        named = [{"name": item} if isinstance(item, str) else item for item in value]
        checked = schema.conform(named, "list[V1LocalObjectReference]")
        if not all(item.get("name") for item in checked):
            raise schema.SchemaError("a name is empty")
        return checked


class Template(Text):
    """A text with fields such as `{username}`.

    Args:
        default_value: as in traitlets.
        fields: those that there are.
        **kwargs: as in `Kube`.
    """

    def __init__(
        self,
        default_value: Any = None,
        *,
        fields: tuple[str, ...] = templates.FIELDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(default_value, **kwargs)
        self.fields = fields

    def check(self, value: Any) -> Any:
        """Refuse what cannot be expanded."""
        text = super().check(value)
        templates.expand(text, dict.fromkeys(self.fields, "x"))
        return text


class Number(Kube):
    """A whole number, or None.

    Args:
        least: the smallest that is allowed.
        most: the largest that is allowed.
    """

    def __init__(
        self, default_value: Any = None, *, least: int = 0, most: int = 2**31 - 1, **kwargs: Any
    ) -> None:
        super().__init__(default_value, **kwargs)
        self.least, self.most = least, most

    def check(self, value: Any) -> Any:
        """Refuse what is no whole number in the range."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise schema.SchemaError(f"expected a whole number, not {value!r}")
        if not self.least <= value <= self.most:
            raise schema.SchemaError(f"expected {self.least} to {self.most}, not {value}")
        return value


class Quantity(Kube):
    """An amount as Kubernetes writes it: a number, or a text such as "500m" or "10Gi"."""

    def check(self, value: Any) -> Any:
        """Refuse what Kubernetes does not parse."""
        if parse_quantity(value) < 0:
            raise QuantityError(f"{value!r} is negative")
        return quantity_text(value)


class Quantities(Kube):
    """Amounts of resources by name: {"nvidia.com/gpu": 1}."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what Kubernetes does not parse."""
        out = {}
        for key, amount in _dictionary(value).items():
            _qualified(key)
            try:
                negative = amount is not None and parse_quantity(amount) < 0
            except QuantityError as error:
                raise QuantityError(f"['{key}']: {error}") from None
            if negative:
                raise QuantityError(f"['{key}']: {amount!r} is negative")
            out[key] = None if amount is None else quantity_text(amount)
        return {key: amount for key, amount in out.items() if amount is not None}


class Object(Kube):
    """An object of Kubernetes' API as a dictionary, checked against its schema.

    Args:
        kind: its model, as "V1PodSpec" or "dict(str, str)".
        partial: it is merged into something, so nothing at its top is required.
        **kwargs: as in `Kube`.
    """

    def __init__(self, kind: str, *, partial: bool = False, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)
        self.kind, self.partial = kind, partial

    def check(self, value: Any) -> Any:
        """Refuse what does not conform."""
        return schema.conform(_dictionary(value), self.kind, partial=self.partial)


class Objects(Kube):
    """A list of objects, or a dictionary whose values are taken in the order of its keys.

    Args:
        kind: the model of one, as "V1Volume".
        **kwargs: as in `Kube`.
    """

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__([], **kwargs)
        self.kind = kind

    def check(self, value: Any) -> Any:
        """Refuse what does not conform."""
        if isinstance(value, Mapping):
            return {
                key: schema.conform(item, self.kind, f"['{key}']")
                for key, item in _dictionary(value).items()
                if item is not None  # a profile takes it away
            }
        return schema.conform(value, f"list[{self.kind}]")


class Numbers(Kube):
    """A list of whole numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([], **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what is no list of ids."""
        numbers = schema.conform(value, "list[int]")
        if any(number < 0 for number in numbers):
            raise schema.SchemaError("expected numbers from 0")
        return numbers


class Labels(Kube):
    """Labels for objects, none of kworkspace's own; or of objects, such as nodes.

    Args:
        own: whether kworkspace's own are allowed.
        **kwargs: as in `Kube`.
    """

    def __init__(self, *, own: bool = False, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)
        self.own = own

    def check(self, value: Any) -> Any:
        """Refuse what Kubernetes or our own selectors do not allow."""
        labels = _texts(value)
        for key, text in labels.items():
            _qualified(key)
            if not self.own:
                check_label(key)
            templated = self.templated and "{" in text
            if not templated and not templates.is_label_value(text):
                raise schema.SchemaError(
                    f"['{key}']: {text!r} is not a label's value: at most 63 letters, digits,"
                    " '-', '_' and '.'"
                )
        return labels


class Annotations(Kube):
    """Annotations for objects; none of kworkspace's own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what Kubernetes does not allow."""
        annotations = _texts(value)
        for key in annotations:
            _qualified(key)
            if key.startswith(OWN_PREFIX):
                raise schema.SchemaError(f"'{key}' is one of kworkspace's own annotations")
        return annotations


class Environment(Kube):
    """Variables by name: texts, callables, or dictionaries as {"valueFrom": ...}."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__({}, **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what is no variable."""
        out: dict[str, Any] = {}
        for key, item in _dictionary(value).items():
            if not _VARIABLE.fullmatch(key):
                raise schema.SchemaError(f"'{key}' is not a variable's name")
            if key.startswith(BOOT):
                raise schema.SchemaError(f"'{key}': KWORKSPACE_BOOT_* is for the bootstrap alone")
            if isinstance(item, Mapping):
                variable = {"name": key, **item}
                out[key] = schema.conform(variable, "V1EnvVar", f"['{key}']")
            elif isinstance(item, str) or callable(item):
                out[key] = item
            elif isinstance(item, int | float) and not isinstance(item, bool):
                out[key] = str(item)
            elif item is not None:
                raise schema.SchemaError(f"['{key}']: expected a text, not {item!r}")
        return out


class MaybeTemplate(Template):
    """A template that may be empty."""

    def check(self, value: Any) -> Any:
        """Refuse what cannot be expanded."""
        return value if value == "" else super().check(value)


class Hook(Kube):
    """A callable, or None."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(None, may_call=True, **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what cannot be called."""
        raise schema.SchemaError(f"expected a callable, not {value!r}")


def listed(value: Any) -> list[Any]:
    """Return the items of an `Objects` option in order."""
    if isinstance(value, Mapping):
        return [value[key] for key in sorted(value)]
    return list(value)


def checked(owner: Any, name: str, value: Any) -> Any:
    """Return a value for an option as if it had been set, without setting it.

    Raises:
        TraitError: it is wrong.
    """
    validate: Callable[[Any, Any], Any] = getattr(type(owner), name)._validate  # noqa: SLF001  # only way
    return validate(owner, value)


def _dictionary(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise schema.SchemaError(f"expected a dictionary, not {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise schema.SchemaError(f"expected a text as key, not {key!r}")
    return value


def _texts(value: Any) -> dict[str, str]:
    out = {}
    for key, item in _dictionary(value).items():
        if isinstance(item, str):
            out[key] = item
        elif item is not None:
            raise schema.SchemaError(f"['{key}']: expected a text, not {item!r}")
    return out


def _qualified(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise schema.SchemaError(
            f"'{key}' is not a name that Kubernetes allows: NAME or DOMAIN/NAME"
        )
