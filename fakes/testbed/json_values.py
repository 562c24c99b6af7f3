"""Hypothesis strategies for JSON values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_TEXTS = st.text(max_size=20)


def json_values(
    texts: st.SearchStrategy[str] = _TEXTS, *, non_finite: bool = False
) -> st.SearchStrategy[Any]:  # fmt: skip
    """Returns a Hypothesis strategy that generates JSON values with a few levels of nesting.

    If `non_finite` is true, the generated values can include NaN and infinite floats.

    The strategy `texts` generates the texts and the names of fields in the JSON values.
    """
    floats = st.floats() if non_finite else st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=15,
    )
