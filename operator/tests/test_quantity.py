"""Amounts as Kubernetes writes them."""

from decimal import Decimal

import pytest
from rl_router_operator.objects.quantity import amount


@pytest.mark.parametrize(
    ("written", "number"),
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
def test_a_quantity_is_a_number(written, number):
    assert amount(written) == Decimal(number)


@pytest.mark.parametrize("written", ["", "much", "1Gib", "1 Gi", "1e1.5", "1..5"])
def test_what_is_no_quantity_is_refused(written):
    with pytest.raises(ValueError, match="invalid quantity"):
        amount(written)
