"""Requests for routing decisions are answered by the learned policy, and all others by the language model."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from rl_router_api.config import tool_name
from rl_router_model import server
from rl_router_model.decisions.endpoint import Decisions
from rl_router_model.decisions.learned_policy import NewestPolicy
from rl_router_model.engine import Engine
from rl_router_model.language_model import LanguageModel
from rl_router_model.problem import ExitCode, StartError
from rl_router_policy.situation import Call, Candidate, Price, Situation
from rl_router_policy.wire import as_json

from fakes.policy.artefacts import overflowing, write_artefact
from fakes.policy.requests import completion_request, schema, tool
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text
from fakes.upstreams.server import Upstream

CANDIDATES = tuple(
    [Candidate(f"call_{name.replace('-', '_')}", name, price=Price(1.0, 1.0)) for name in ("alpha", "beta-2")]
)
CHOICE = Situation("What is 2 + 2?", CANDIDATES, guard="off")
ANSWERED = Call("call_7", "call_alpha", "ok", "4")
MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]
TOOLS = [tool("call_alpha"), tool("call_beta_2")]


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Decisions:
    folder = write_artefact(tmp_path_factory.mktemp("a") / "a", {"alpha": 0.6, "beta-2": 0.9, "gamma": 0.3})
    return Decisions(NewestPolicy(str(folder), print))


class Port8000:
    """A server with a fake language model. The attribute `loads` counts how often the language model was loaded."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.loads = 0
        self.failures: list[StartError] = []
        self.client: httpx.AsyncClient

    def load(self) -> Engine:
        self.loads += 1
        if self.failures:
            raise self.failures.pop()
        return Engine(self.upstream.url.removesuffix("/v1"), "key", "alias", 4096, None)

    async def post(self, body: object, path: str = "/v1/chat/completions") -> httpx.Response:
        return await self.client.post(path, json=body)

    async def answer(self, **fields: Any) -> dict[str, Any]:
        """Returns the answer to a chat completion. Fails if the language model was asked."""
        response = await self.post({"messages": MESSAGES, **fields})
        assert response.status_code == 200, response.text
        assert not self.upstream.requests
        return dict(response.json())


@asynccontextmanager
async def running(decisions: Decisions | None) -> AsyncIterator[Port8000]:
    async with AsyncExitStack() as stack:
        port = Port8000(await stack.enter_async_context(Upstream(text())))
        api = server.ChatApi(LanguageModel(port.load, 4096), ["router"], decisions=decisions)
        runner = await stack.enter_async_context(server.running(api.application()))
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        port.client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=20))
        yield port


@pytest.fixture
async def port(decisions: Decisions) -> AsyncIterator[Port8000]:
    async with running(decisions) as made:
        yield made


def called(answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


def events(text: str) -> Iterator[Any]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


async def test_a_decision_by_tools_is_a_call_of_the_best_target(port: Port8000) -> None:
    answer = await port.answer(**completion_request(CHOICE))
    assert called(answer) == ("call_beta_2", {})
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert (answer["object"], answer["model"], answer["usage"]["total_tokens"]) == ("chat.completion", "router", 0)
    assert [estimate["tool"] for estimate in answer["rl_router"]["candidates"]] == ["call_alpha", "call_beta_2"]
    assert "predicted quality 0.90" in answer["rl_router"]["reason"]
    assert port.loads == 0


async def test_a_streamed_decision_has_its_reasons_in_the_first_chunk(port: Port8000) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = await port.post(completion_request(CHOICE, **options))
    assert response.headers["content-type"].startswith("text/event-stream")
    first, end, usage = events(response.text)
    (call,) = first["choices"][0]["delta"]["tool_calls"]
    assert (call["index"], call["function"]) == (0, {"name": "call_beta_2", "arguments": "{}"})
    assert "predicted quality 0.90" in first["rl_router"]["reason"]
    assert end["choices"][0]["finish_reason"] == "tool_calls"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 0)
    assert response.text.endswith("data: [DONE]\n\n")


async def test_a_decision_by_json_schema_is_the_name_of_the_target(port: Port8000) -> None:
    answer = await port.answer(**completion_request(CHOICE, "json_schema"))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"ask": "beta-2"}
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_a_schema_may_contain_the_names_of_tools(port: Port8000) -> None:
    answer = await port.answer(response_format=schema({"call": ["call_alpha", "call_beta_2"]}))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"call": "call_beta_2"}


@pytest.mark.parametrize("way", ["tools", "json_schema"])
async def test_an_answer_is_selected(port: Port8000, way: str) -> None:
    situation = Situation(CHOICE.text, CHOICE.candidates, calls=(ANSWERED,))
    answer = await port.answer(**completion_request(situation, way))
    if way == "tools":
        assert called(answer) == ("select_response", {"call_id": "call_7"})
    else:
        assert json.loads(answer["choices"][0]["message"]["content"]) == {"select": "call_7"}


async def test_an_answer_that_cannot_be_selected_does_not_count(port: Port8000) -> None:
    field = as_json(Situation(CHOICE.text, CHOICE.candidates, guard="off", calls=(ANSWERED,)))
    assert called(await port.answer(tools=TOOLS, rl_router=field)) == ("call_beta_2", {})


async def test_only_offered_candidates_are_called(port: Port8000) -> None:
    assert called(await port.answer(tools=TOOLS[:1], rl_router=as_json(CHOICE))) == ("call_alpha", {})


async def test_without_a_choice_the_answer_is_a_text_with_the_reason(port: Port8000) -> None:
    failed = tuple([Call(str(at), each.tool, "failed") for at, each in enumerate(CHOICE.candidates)])
    answer = await port.answer(**completion_request(Situation("?", CHOICE.candidates, calls=failed)))
    assert "every candidate's call failed" in answer["choices"][0]["message"]["content"]
    assert "tool_calls" not in answer["choices"][0]["message"]


async def test_without_the_field_a_constant_serves(port: Port8000) -> None:
    answer = await port.answer(tools=[*TOOLS, tool("call_other")])
    assert called(answer) == ("call_beta_2", {})
    assert "not proven" in answer["rl_router"]["reason"]
    qualities = {each["tool"]: round(each["quality"], 3) for each in answer["rl_router"]["candidates"]}
    assert qualities == {"call_alpha": 0.6, "call_beta_2": 0.9, "call_other": 0.5}


def results(*contents: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the messages of calls of the tools `TOOLS`, with their results."""
    calls = [
        {"id": f"c{at}", "type": "function", "function": {"name": each["function"]["name"], "arguments": "{}"}}
        for at, each in enumerate(TOOLS[::-1])
    ][: len(contents)]
    answers = [
        {"role": "tool", "tool_call_id": f"c{at}", "content": json.dumps(each)} for at, each in enumerate(contents)
    ]
    return [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": calls}, *answers]


async def test_without_the_field_the_messages_say_which_calls_failed(port: Port8000) -> None:
    failed = {"call_id": "c0", "failed": "overloaded"}
    answer = await port.answer(messages=results(failed), tools=[*TOOLS, tool("select_response")])
    assert called(answer) == ("call_alpha", {})
    answer = await port.answer(
        messages=results(failed, {"call_id": "c1", "answer": "4"}), tools=[*TOOLS, tool("select_response")]
    )
    assert called(answer) == ("select_response", {"call_id": "c1"})


async def test_without_the_field_a_text_says_which_calls_failed(port: Port8000) -> None:
    listed = json.dumps([{"model": "beta-2", "call_id": "call_1", "failed": "overloaded"}], separators=(",", ":"))
    messages = [*MESSAGES, {"role": "assistant", "content": '{"ask":"beta-2"}'}, {"role": "user", "content": listed}]
    answer = await port.answer(messages=messages, response_format=schema({"ask": ["alpha", "beta-2"]}))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"ask": "alpha"}


@pytest.mark.parametrize("name", ["gpt-4o", "Org/Größe 7B", "モデル", "a" * 90, "call_x"])
def test_a_tool_of_the_router_api_calls_the_target_that_the_router_api_means(tmp_path: Path, name: str) -> None:
    policy = NewestPolicy(str(write_artefact(tmp_path / "a", {name: 0.5})), print).current
    assert policy.target_of(tool_name(name)) == name


OTHER_REQUESTS: dict[str, dict[str, Any]] = {
    "no tools": {},
    "a tool of the client": {"tools": [*TOOLS, tool("search")]},
    "a tool without a function": {"tools": [*TOOLS, {"type": "custom", "custom": {"name": "call_x"}}]},
    "tools that may not be called": {"tools": TOOLS, "tool_choice": "none"},
    "a tool that must be called": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
    "several answers": {"tools": TOOLS, "n": 2},
    "another schema": {"response_format": schema({"answer": ["yes", "no"]})},
    "a schema with more": {"response_format": schema({"ask": ["alpha"], "reason": ["good"]})},
    "any JSON object": {"response_format": {"type": "json_object"}},
    "a wrong schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"anyOf": 5}}}},
    "the field without a decision": {"rl_router": as_json(CHOICE)},
}


@pytest.mark.parametrize("fields", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
async def test_the_language_model_gets_all_other_requests_unchanged(port: Port8000, fields: dict[str, Any]) -> None:
    sent = json.dumps({"messages": MESSAGES, **fields}, indent=1)
    response = await port.client.post("/v1/chat/completions", content=sent)
    assert response.status_code == 200
    assert [request.raw.decode() for request in port.upstream.requests] == [sent]


async def test_the_language_model_is_loaded_once_when_it_is_needed(port: Port8000) -> None:
    body = {"messages": MESSAGES}
    assert port.loads == 0
    first = asyncio.create_task(port.post(body))
    assert [(await port.post(body)).status_code, (await first).status_code] == [200, 200]
    assert port.loads == 1


async def test_a_failed_load_is_an_error_and_the_next_request_tries_again(port: Port8000) -> None:
    port.failures.append(StartError(ExitCode.ENGINE, "llama.cpp cannot load the model"))
    failed = await port.post({"messages": MESSAGES})
    assert (failed.status_code, failed.json()["error"]["message"]) == (503, "llama.cpp cannot load the model.")
    assert (await port.post({"messages": MESSAGES})).status_code == 200


async def test_the_list_of_models_announces_the_artefact(port: Port8000, decisions: Decisions) -> None:
    (entry,) = (await port.client.get("/v1/models")).json()["data"]
    assert entry["rl_router"] == {"decisions": 1, "artefact": decisions.announcement["artefact"]}
    assert len(entry["rl_router"]["artefact"]) == 64


async def test_a_language_model_that_decides_announces_nothing_and_gets_all_requests() -> None:
    async with running(None) as port:
        (entry,) = (await port.client.get("/v1/models")).json()["data"]
        assert "rl_router" not in entry
        assert (await port.post(completion_request(CHOICE))).status_code == 200
        assert len(port.upstream.requests) == 1
        assert (await port.post({}, "/v1/decisions")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"rl_router": {"version": 7}}, "rl_router", "`rl_router.version` is 7. Use the version 1"),
        ({"rl_router": "x"}, "rl_router", "`rl_router` must be an object, not a string"),
        ({"rl_router": {"version": 1, "text": "?"}}, "rl_router", "has none of the offered targets. Describe"),
        ({"messages": "x"}, "messages", "`messages` must be a list of objects"),
    ],
)
async def test_a_wrong_field_is_a_400_that_names_the_field(
    port: Port8000, fields: dict[str, Any], param: str, words: str
) -> None:
    response = await port.post({"messages": MESSAGES, "tools": TOOLS, **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("BadRequestError", param)
    assert words in error["message"]


async def test_a_new_artefact_is_used_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    first = write_artefact(tmp_path / "first", {"alpha": 0.6, "beta-2": 0.9})
    lines: list[str] = []
    newest = NewestPolicy(str(tmp_path), lines.append)
    before = newest.current
    async with running(Decisions(newest)) as port:
        assert called(await port.answer(**completion_request(CHOICE))) == ("call_beta_2", {})
        write_artefact(tmp_path / "second", {"alpha": 0.95, "beta-2": 0.9})
        await until(lambda: len(lines) == 1, "the new artefact")
        assert called(await port.answer(**completion_request(CHOICE))) == ("call_alpha", {})
        (entry,) = (await port.client.get("/v1/models")).json()["data"]
        assert entry["rl_router"]["artefact"] == newest.current.artefact.hash != before.artefact.hash
        assert lines == [f"the policy uses the newest artefact: {newest.current.artefact.hash}"]
        shutil.copytree(first, tmp_path / "third")
        (tmp_path / "third" / "manifest.json").touch()
        (tmp_path / "third" / "policy.safetensors").write_bytes(b"damaged")
        await until(lambda: len(lines) == 2, "the refusal")
        assert lines[1].startswith(f"--artefact: {tmp_path}/third/policy.safetensors: the SHA-256 is")
        assert called(await port.answer(**completion_request(CHOICE))) == ("call_alpha", {})


async def test_a_removed_artefact_stays_in_use(tmp_path: Path) -> None:
    write_artefact(tmp_path / "first", {"alpha": 0.6, "beta-2": 0.9})
    lines: list[str] = []
    async with running(Decisions(NewestPolicy(str(tmp_path), lines.append))) as port:
        shutil.rmtree(tmp_path / "first")
        await until(lambda: lines, "the refusal")
        assert "contains no artefact" in lines[0]
        assert called(await port.answer(**completion_request(CHOICE))) == ("call_beta_2", {})


async def test_after_a_start_the_newest_artefact_that_can_be_read_is_used(tmp_path: Path) -> None:
    write_artefact(tmp_path / "first", {"alpha": 0.6, "beta-2": 0.9})
    write_artefact(tmp_path / "second", {"alpha": 0.95, "beta-2": 0.9}, format=99)
    lines: list[str] = []
    async with running(Decisions(NewestPolicy(str(tmp_path), lines.append))) as port:
        assert called(await port.answer(**completion_request(CHOICE))) == ("call_beta_2", {})
        assert "has the format 99, not 1" in lines[0]


async def test_an_error_in_the_policy_is_a_text_with_the_reason(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a", {"alpha": 0.6}, tensors=overflowing(1))
    lines: list[str] = []
    async with running(Decisions(NewestPolicy(str(tmp_path), lines.append))) as port:
        answer = await port.answer(tools=TOOLS, rl_router=as_json(CHOICE))
        assert answer["choices"][0]["message"]["content"] == answer["rl_router"]["reason"] == lines[0]
        assert lines[0].startswith("the policy failed: ")
        question = {"type": "choice", "choices": [{"value": "alpha"}, {"value": "beta-2"}]}
        refused = await port.post({"input": "2 + 2", "questions": [question]}, "/v1/decisions")
        assert refused.json()["answers"][0]["type"] == "refusal"


def test_a_missing_artefact_is_a_command_line_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"contains no artefact\. .*, or use --decide") as error:
        NewestPolicy(str(tmp_path), print)
    assert error.value.code == ExitCode.COMMAND_LINE


def test_a_damaged_proof_is_a_command_line_error(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.5})
    (folder / "guard.json").write_text("[]")
    with pytest.raises(StartError, match=r"--artefact: .*guard.json: `format` is None, not 1"):
        NewestPolicy(str(folder), print)


def test_a_damaged_artefact_is_a_command_line_error(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.5})
    (folder / "policy.safetensors").write_bytes(b"")
    with pytest.raises(StartError, match=r"--artefact: .*policy.safetensors: the SHA-256 is") as error:
        NewestPolicy(str(tmp_path), print)
    assert error.value.code == ExitCode.COMMAND_LINE
