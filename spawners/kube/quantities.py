"""Amounts as Kubernetes writes them: "500m", "1.5", "10Gi", "1e3".

The grammar and the suffixes are those of the API's `resource.Quantity`. Pure.
"""

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LARGEST = Decimal(2**63 - 1)


class QuantityError(ValueError):
    """Not an amount; the message says what one looks like."""


def parse_quantity(value: object) -> Decimal:
    """Return the amount that a quantity means.

    Args:
        value: a quantity as text, or a plain number.

    Raises:
        QuantityError: it is none, or is out of Kubernetes' range.
    """
    text = quantity_text(value)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise QuantityError(f"{value!r} is not a quantity; write a number as 2, 500m, 1.5 or 10Gi")
    suffix = match["suffix"] or ""
    try:
        if suffix in _BINARY:
            amount = Decimal(match["number"]) * Decimal(1024) ** _BINARY[suffix]
        elif suffix in _SUFFIXES:
            amount = Decimal(match["number"]).scaleb(_SUFFIXES[suffix])
        else:  # an exponent; E alone is exa
            amount = Decimal(match["number"]).scaleb(int(suffix[1:]))
    except (InvalidOperation, ValueError, OverflowError):
        raise QuantityError(f"{value!r} is out of range") from None
    if abs(amount) > _LARGEST:
        raise QuantityError(f"{value!r} is out of range")
    return amount


def quantity_text(value: object) -> str:
    """Return a quantity as the text that goes into a manifest.

    Raises:
        QuantityError: it is neither a text nor a number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise QuantityError(f"{value!r} is not a quantity; write a number as 2, 500m, 1.5 or 10Gi")
    if isinstance(value, str):
        return value
    number = Decimal(str(value))
    if not number.is_finite():
        raise QuantityError(f"{value!r} is not a quantity")
    return format(number.normalize(), "f")


def whole(value: object) -> int:
    """Return a quantity as a whole number, rounded up as Kubernetes does.

    Raises:
        QuantityError: it is not a quantity.
    """
    return int(parse_quantity(value).to_integral_value(ROUND_CEILING))
