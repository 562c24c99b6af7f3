"""Quantities in the format of Kubernetes."""

from decimal import Decimal

import pytest
from rl_router_operator.objects.quantity import amount


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        (2, "2"),
        ("500m", "0.5"),
        ("0.5", "0.5"),
        ("40Gi", str(40 * 1024**3)),
        ("1.5Gi", str(1024**3 * 3 // 2)),
        ("1G", "1000000000"),
        ("1e3", "1000"),
        ("100u", "0.0001"),
        ("2E", "2000000000000000000"),
        ("1Ei", str(1024**6)),
    ],
)
def test_a_quantity_is_converted_to_a_number(quantity, number):
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("text", ["", "much", "1Gib", "1 Gi", "1e1.5", "1..5"])
def test_an_invalid_quantity_is_rejected(text):
    with pytest.raises(ValueError, match="invalid quantity"):
        amount(text)
