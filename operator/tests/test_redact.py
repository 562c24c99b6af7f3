"""Messages of pods and targets become one short line without keys."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rl_router_operator.redact import LIMIT, clean

TOKENS = st.text(string.ascii_letters + string.digits, min_size=20, max_size=60)
AROUND = st.text(max_size=600)
PLACES = [
    "Authorization: Bearer {}",
    '{{"Authorization": "Bearer {}"}}',
    "authorization: Basic {}",
    "bearer  {}",
    "x-api-key: {}",
    "Incorrect API key provided: sk-{}.",
    "HF_TOKEN=hf_{}",
    "(hf_{})",
    "https://user:{}@hub.example/v1",
    "https://{}@hub.example/v1",
    "GET https://api.example/v1/models?api_key={}&a=b",
    "https://api.example/?key={}",
    "https://api.example/?access_token={}",
    '{{"api_key": "{}"}}',
    "{{'token': '{}'}}",
    "OPENAI_API_KEY={}",
    'openaiApiKey="{}"',
    "AccountKey={}",
    'topologyKey="zone" key="{}"',
    'password="{}"',
]


@settings(deadline=None)
@given(st.text() | st.text(st.characters(), min_size=400, max_size=2000))
def test_any_text_becomes_one_printable_line_in_utf_8(text: str) -> None:
    line = clean(text)
    assert len(line) <= LIMIT
    assert line.isprintable()
    assert line.encode().decode() == line


@pytest.mark.parametrize("place", PLACES)
@settings(deadline=None)
@given(token=TOKENS, before=AROUND, after=AROUND)
def test_a_key_is_redacted_in_every_place(place: str, token: str, before: str, after: str) -> None:
    assume(token[:12] not in before + after)
    assert token[:12] not in clean(f"{before} {place.format(token)} {after}")


@settings(deadline=None)
@given(TOKENS, st.integers(0, LIMIT + 40))
def test_a_truncated_key_is_redacted(token: str, position: int) -> None:
    assert token[:3] not in clean(f"{'=' * position} sk-{token}")


@pytest.mark.parametrize(
    "text",
    [
        'secret "hf-token" not found',
        "couldn't find key hf_token in Secret team/hub",
        "couldn't find key api-key in Secret team/openai",
        "0/1 nodes are available: 1 node(s) had disk-pressure, task-1 waits",
        "Cannot access gated repo for url https://hub.example/o/x/resolve/main/config.json",
        "https://api.example/v1: connection refused",
        'duplicate entries for key [topologyKey="kubernetes.io/hostname",whenUnsatisfiable="DoNotSchedule"]',
    ],
)
def test_useful_text_is_unchanged(text: str) -> None:
    assert clean(text) == text


def test_a_truncated_text_ends_with_an_ellipsis() -> None:
    assert clean("x" * 600) == "x" * (LIMIT - 1) + "…"
    assert clean("x" * LIMIT) == "x" * LIMIT


def test_direction_marks_and_lone_surrogates_are_removed() -> None:
    assert clean("a\u202eb\ud800c\x1b[31md\u2028e") == "a b c [31md e"
