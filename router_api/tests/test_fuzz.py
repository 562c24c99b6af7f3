"""Random and invalid requests: none is answered with a 5xx, and every error is in OpenAI's format."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from fakes.testbed.responses import ERROR_FIELDS
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import text

VALID: dict[str, Any] = {
    "model": "router",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1_rrabcdef", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_1_rrabcdef", "content": "4"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "stream": True, "stream_options": {"include_usage": True}, "n": 1, "temperature": 0.5, "max_tokens": 5,
    "max_completion_tokens": 7, "logprobs": False, "modalities": ["text"], "functions": [],
    "router": {"max_cost": 1, "deadline_ms": 2000, "models": ["alpha"], "policy": "rl", "max_turns": 2,
               "review": "never", "prefer": "cost"},
}  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2.5, 1e308, 10**9, 10**40, "", "x", "\u0000", "router", "🦊" * 50,
    [], [[]], [None], {}, {"": {}},
    {"type": "text"}, {"role": "user"}, [{"role": "tool"}], [{"role": "user", "content": "hi"}],
]  # fmt: skip


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Yields a valid request with one to three values changed, and sometimes with a damaged byte or cut."""
    chance = random.Random(seed)
    for _ in range(count):
        body = copy.deepcopy(VALID)
        for _ in range(chance.randint(1, 3)):
            _mutate(body, chance)
        data = bytearray(json.dumps(body).encode())
        if chance.random() < 0.2:
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randrange(len(data))] if chance.random() < 0.05 else data)


def _mutate(value: Any, chance: random.Random) -> None:
    """Replaces a random value with one of ODD, or deletes it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(value[key], (dict, list)) and value[key] and chance.random() < 0.6:
        _mutate(value[key], chance)
    elif chance.random() < 0.15:
        del value[key]
    else:
        value[key] = chance.choice(ODD)


def assert_is_valid(response: httpx.Response, sent: bytes) -> None:
    """Checks that the response is a 200, or a 4xx in OpenAI's format."""
    assert response.status_code < 500, (response.text, sent)
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == ERROR_FIELDS, sent
        assert error["message"], sent


async def test_no_body_causes_a_5xx_and_every_error_has_openais_format(testbed: Testbed) -> None:
    setup = await testbed.start(None, text(), text())
    for path, seed in (("/v1/chat/completions", 1), ("/v1/route", 2)):
        for body in mutants(400, seed):
            response = await setup.client.post(path, content=body, headers={"content-type": "application/json"})
            assert_is_valid(response, body)


def odd_bodies() -> Iterator[bytes]:
    """Yields a valid request with each field and each option replaced by each value of ODD."""
    for name in VALID:
        for odd in ODD:
            yield json.dumps({**VALID, name: odd}).encode()
    # A deadline of one millisecond is correctly a 504.
    for name in VALID["router"].keys() - {"deadline_ms"}:
        for odd in ODD:
            yield json.dumps({**VALID, "router": {name: odd}}).encode()


async def test_no_value_of_a_single_field_causes_a_5xx(testbed: Testbed) -> None:
    setup = await testbed.start(None, text(), text())
    for path in ("/v1/chat/completions", "/v1/route"):
        for body in odd_bodies():
            response = await setup.client.post(path, content=body, headers={"content-type": "application/json"})
            assert_is_valid(response, body)


async def test_no_path_method_or_header_causes_a_5xx(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    paths = ["/", "/health", "/ready", "/metrics", "/debug/tools", "/v1/models", "/v1/models/router", "/v1/models/%00",
             "/v1/models/a%2Fb", "/v1/route", "/v1/chat/completions", "/v1/chat/completions/", "/%ff"]  # fmt: skip
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for kind in ("application/json", "text/plain", "application/json; charset=\u00e9"):
                headers = {
                    "content-type": kind.encode("latin-1"),
                    "x-request-id": b"\xe9 bad id",
                    "authorization": "Basic x",
                }
                response = await setup.client.request(method, path, content=b"[]", headers=headers)
                assert_is_valid(response, f"{method} {path} {kind}".encode())


async def test_schemathesis_finds_no_server_error_in_the_openapi_description(testbed: Testbed, tmp_path: Path) -> None:
    setup = await testbed.start(None, text(), text())
    program = Path(sys.executable).with_name("schemathesis")
    process = await asyncio.create_subprocess_exec(
        program, "run", f"{setup.client.base_url}/openapi.json".replace("//openapi", "/openapi"),
        "--checks", "not_a_server_error", "--max-examples", "20", "--seed", "1", "--no-color",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    report, _ = await process.communicate()
    assert process.returncode == 0, report.decode()
    assert b"Test cases" in report or b"passed" in report, report.decode()
