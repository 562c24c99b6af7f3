"""Hypothesis strategies for JSON values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def json_values(*, non_finite: bool = False) -> st.SearchStrategy[Any]:
    """Generates JSON values with a few levels of nesting. If `non_finite` is set, also NaN and infinite floats."""
    floats = st.floats() if non_finite else st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=15,
    )
