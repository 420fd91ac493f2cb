"""Amounts, as `resource.Quantity` of the API parses them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.kube.quantities import (
    QuantityError,
    parse_quantity,
    quantity_text,
    whole,
)

SUFFIXES = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2", "2"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("+1", "1"),
        ("-1k", "-1000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        ("12e-1", "1.2"),
        ("10Gi", str(10 * 2**30)),
        ("1.5Ki", "1536"),
        ("3u", "0.000003"),
        ("7n", "0.000000007"),
        ("9223372036854775807", str(2**63 - 1)),
        ("0", "0"),
    ],
)
def test_what_an_amount_means(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    ["", " ", "10 Gi", "10gb", "10GB", "1,5", "ten", "0x10", "1e", "1e1.5", "--1", ".", "Gi", "1K",
     "1Mi2", "1\n", "\u0661", None, True, [], {}, b"1"],
)  # fmt: skip
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(QuantityError, match="is not a quantity; write a number as") as caught:
        parse_quantity(value)
    assert str(caught.value).startswith(repr(value))


@pytest.mark.parametrize(
    "value", ["9223372036854775808", "-9223372036854775808", "8Ei", "1e99", "1e999999999999999999"]
)
def test_what_is_too_large(value: str) -> None:
    with pytest.raises(QuantityError, match="is out of range"):
        parse_quantity(value)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_are_none(value: float) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        quantity_text(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2, "2"), (0.5, "0.5"), (1e9, "1000000000"), (1e-7, "0.0000001"), (1.10, "1.1"),
     ("1Gi", "1Gi"), (100, "100"), (0, "0")],
)  # fmt: skip
def test_the_text_of_a_manifest(value: object, text: str) -> None:
    assert quantity_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [("1500m", 2), ("1n", 1), ("2", 2), ("1Ki", 1024), (2.0, 2), ("-1500m", -1)],
)
def test_whole_numbers_are_rounded_up(value: object, number: int) -> None:
    assert whole(value) == number


@given(st.integers(-7, 7), st.sampled_from(SUFFIXES))
def test_every_suffix(number: int, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") == number * parse_quantity(f"1{suffix}")


@given(st.one_of(st.integers(0, 2**60), st.floats(0, 1e15)))
def test_a_number_keeps_its_value_as_text(number: float) -> None:
    text = quantity_text(number)
    assert Decimal(str(number)) == parse_quantity(text)
    assert "e" not in text.lower()


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    try:
        amount = parse_quantity(text)
    except QuantityError:
        return
    assert amount.is_finite()
