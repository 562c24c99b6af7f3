"""The catalogue is a complete configuration that works with any subset of the providers' keys."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import rl_router_api
import yaml
from rl_router_api.config import Configuration, History, Target
from rl_router_api.conversation.additions import NO_ADVICE
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.write_request import write_request
from rl_router_api.runtime import settings

CATALOGUE = Path(rl_router_api.__file__).with_name("catalogue.yaml")
TARGETS = settings.read(str(CATALOGUE), {}, {}).targets or ()
REFUSED_BY_REASONING_MODELS = {"max_tokens", "temperature", "top_p", "presence_penalty"}


def sent_to(target: Target, **fields: object) -> dict[str, object]:
    """Returns the body that the target receives. Without `fields`, the request is the README's example."""
    body = {"model": "router-tool-rl", "messages": [{"role": "user", "content": "2 + 2?"}]}
    request = read_request(json.dumps(body | (fields or {"max_tokens": 1000, "temperature": 0.7})).encode())
    return dict(json.loads(write_request(request, target, NO_ADVICE, None).body))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_the_fields_that_routing_needs(target: Target) -> None:
    assert target.api_key_env
    assert target.price is not None
    assert target.price.input > 0
    assert target.price.output > 0
    assert target.context_length
    assert target.capabilities
    assert target.description


def test_it_has_targets_of_five_providers() -> None:
    assert {target.api_key_env for target in TARGETS} == {
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "MISTRAL_API_KEY",
    }  # fmt: skip


@pytest.mark.parametrize("target", [t for t in TARGETS if "openai" in t.base_url.split("/")[2]], ids=lambda t: t.name)
def test_openais_reasoning_models_receive_no_parameter_that_they_refuse(target: Target) -> None:
    body = sent_to(target, max_tokens=1000, temperature=0.7, top_p=0.9, presence_penalty=0.1)
    assert not REFUSED_BY_REASONING_MODELS & body.keys()
    assert body["max_completion_tokens"] == 1000


@pytest.mark.parametrize("target", [t for t in TARGETS if "anthropic" in t.base_url], ids=lambda t: t.name)
def test_claude_models_receive_the_output_limit_but_no_sampling_parameters(target: Target) -> None:
    body = sent_to(target, max_tokens=1000, temperature=0.7, top_p=0.9)
    assert not {"temperature", "top_p"} & body.keys()
    assert body["max_tokens"] == 1000


@pytest.mark.parametrize("target", [t for t in TARGETS if "mistral" in t.base_url], ids=lambda t: t.name)
def test_mistral_models_receive_no_unknown_field(target: Target) -> None:
    body = sent_to(target, max_completion_tokens=50, seed=7, stream=True, user="ada")
    assert not {"max_completion_tokens", "seed", "stream_options", "user"} & body.keys()
    assert (body["random_seed"], body["max_tokens"]) == (7, 50)


def test_the_deepseek_reasoning_model_receives_no_sampling_parameters() -> None:
    (target,) = (target for target in TARGETS if target.name == "deepseek-v4-pro")
    assert "temperature" not in sent_to(target)


FOREIGN: list[dict[str, Any]] = [
    {"role": "user", "content": "Look."},
    {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None,
     "reasoning_content": "Hm.", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
     "tool_calls": [
         {"id": f"functions.look:{number}_{'a' * 40}", "type": "function",
          "function": {"name": "look", "arguments": "{}"}} for number in range(2)]},
    *[{"role": "tool", "tool_call_id": f"functions.look:{number}_{'a' * 40}", "content": "a cat"}
      for number in range(2)],
    {"role": "user", "content": "And now?"},
]  # fmt: skip
"""A conversation whose tool calls were made by a model of no provider of the catalogue."""
ID_PATTERNS = {"openai": r".{1,40}", "anthropic": r"[A-Za-z0-9_-]+", "mistral": r"[A-Za-z0-9]{9}"}
MISTRALS_FIELDS = {"role", "content", "tool_calls", "prefix"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_receives_another_models_tool_calls_in_the_form_that_it_accepts(target: Target) -> None:
    messages: Any = sent_to(target, messages=FOREIGN)["messages"]
    answer, results = messages[1], messages[2:4]
    ids = [call["id"] for call in answer["tool_calls"]]
    assert ids == [result["tool_call_id"] for result in results]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(ID_PATTERNS.get(target.family, ".*"), each) for each in ids)
    if target.family == "mistral":
        assert set(answer) <= MISTRALS_FIELDS
    if target.family == "google":
        signatures = [call.get("extra_content", {}).get("google") for call in answer["tool_calls"]]
        assert signatures == [{"thought_signature": "skip_thought_signature_validator"}, None]


def test_deepseeks_reasoning_model_receives_thinking_in_every_message_with_tool_calls() -> None:
    (target,) = (target for target in TARGETS if target.name == "deepseek-v4-pro")
    without = [{name: value for name, value in message.items() if name != "reasoning_content"} for message in FOREIGN]
    for messages, expected in ((FOREIGN, "Hm."), (without, "")):
        sent: Any = sent_to(target, messages=messages)["messages"]
        assert sent[1]["reasoning_content"] == expected


def test_the_targets_of_one_provider_have_one_signing_family() -> None:
    families = {(urlsplit(target.base_url).hostname, target.signing_family) for target in TARGETS}
    assert len(families) == len({host for host, _ in families}) == len({family for _, family in families})


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_receives_the_output_limit_of_the_client(target: Target) -> None:
    body = sent_to(target)
    assert {body.get("max_tokens"), body.get("max_completion_tokens")} == {1000, None}


def test_the_examples_in_its_comments_are_valid_targets() -> None:
    lines = CATALOGUE.read_text().splitlines()
    start = lines.index(next(line for line in lines if "Models on your own machines" in line))
    commented = [line.strip().removeprefix("# ") for line in lines[start + 1 :]]
    fields = [line for line in commented if line.startswith(("- ", "  "))]
    targets = yaml.safe_load("\n".join(fields))
    assert [target.name for target in Configuration(targets=targets).targets or ()] == ["qwen2.5-32b", "llama3.2"]


PROVIDERS = (Path(__file__).resolve().parents[2] / "docs" / "providers.md").read_text()
SUBJECTS = [
    "API key",
    "requests",
    "answers of other models",
    "usage and prices",
    "limits and errors",
    "answers",
    "basis",
]


def described(target: Target) -> dict[str, str]:
    """Returns the rows of the table for the target's provider."""
    _, _, sections = PROVIDERS.partition("## Providers of the catalogue")
    (section,) = (part for part in sections.split("\n### ") if f"`{target.api_key_env}`" in part)
    return dict(re.findall(r"^\| (?!subject|---)(.*?) \| (.*) \|$", section, re.MULTILINE))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_guide_says_what_the_router_does_for_the_provider(target: Target) -> None:
    rows = described(target)
    assert list(rows) == SUBJECTS
    assert f"`{urlsplit(target.base_url).hostname}`" in rows["API key"]
    params = target.params
    for name in (*params.drop, *params.rename, *params.rename.values(), *params.set):
        assert f"`{name}`" in rows["requests"]
    history = target.history or History()
    for name in (*history.model_fields_set, *history.drop, *history.add_to_messages, *history.add_to_tool_calls):
        assert f"`{name}`" in rows["answers of other models"]
    assert target.price is not None
    for name in (*target.price.service_tiers, *(["tiers"] if target.price.tiers else ())):
        assert f"`{name}`" in rows["usage and prices"]
    assert ("`cache_write`" in rows["usage and prices"]) == (target.price.cache_write is not None)
