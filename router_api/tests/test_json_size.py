"""Bodies with very many values or very deep JSON are recognized without decoding them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_api.dialects.json_size import MAX_VALUES, has_more_values, is_deeper

from fakes.testbed.json_values import json_values

JSON = json_values(st.text(alphabet='a\\",[]{}:\n é', max_size=8))
FORMATS: list[dict[str, Any]] = [{}, {"indent": 1}, {"separators": (",", ":"), "ensure_ascii": False}]


def more_values(body: bytes, limit: int) -> bool:
    return has_more_values(body, body.count(b"[") + body.count(b"{"), limit)


def marks(value: Any) -> int:
    """Returns the number of opening brackets and commas of a value, outside its texts."""
    if not isinstance(value, list | dict):
        return 0
    entries = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(len(entries) - 1, 0) + sum(map(marks, entries))


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(JSON, st.sampled_from(FORMATS))
def test_the_values_of_any_json_are_counted_without_its_texts(value: Any, form: dict[str, Any]) -> None:
    body = json.dumps(value, **form).encode()
    count = marks(value)
    assert not more_values(body, count)
    assert not count or more_values(body, count - 1)


@given(JSON, st.sampled_from(FORMATS))
def test_the_depth_of_any_json_is_measured_without_its_texts(value: Any, form: dict[str, Any]) -> None:
    body = json.dumps(value, **form).encode()
    levels = depth(value)
    assert not is_deeper(body, levels)
    assert not levels or is_deeper(body, levels - 1)


@pytest.mark.parametrize("text", [", [ { ", '\\", \\"[', "\\\\", "\\n,{", "é,"])
def test_a_long_text_is_one_value(text: str) -> None:
    body = ('{"a":"' + text * MAX_VALUES + '"}').encode()
    assert not more_values(body, MAX_VALUES)
    assert more_values(body[:-1] + b',"b":[' + b"1," * MAX_VALUES + b"1]}", MAX_VALUES)


@pytest.mark.parametrize("unit", [b'""', b'"a"b', b'"', b'\\"'])
def test_bytes_that_are_not_json_count_as_too_many_values(unit: bytes) -> None:
    assert more_values(b"[" + unit * 101 + b"," * 100, 99)
