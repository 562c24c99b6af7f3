"""The `llm` command works with the router as one of its extra OpenAI models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = """
- model_id: routed
  model_name: router
  api_base: {base_url}
  api_key_name: routed
  supports_tools: true
  supports_schema: true
  vision: true
- model_id: unknown
  model_name: no-such-model
  api_base: {base_url}
  api_key_name: routed
"""
TOOL = "def weather(city: str) -> str:\n    return f'sun in {city}'\n"


@pytest.fixture
def llm(base_url, tmp_path):
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(base_url=base_url))
    (tmp_path / "keys.json").write_text(json.dumps({"routed": "unused"}))

    def run(*arguments, fails=False):
        process = subprocess.run(
            [Path(sys.executable).with_name("llm"), *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert bool(process.returncode) == fails, process.stderr
        return process.stderr if fails else process.stdout

    return run


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["streamed", "buffered"])
def test_a_prompt_is_answered(llm, options):
    assert llm("-m", "routed", *options, "Hello there").strip() == "You said: Hello there"


def test_the_log_has_the_usage_of_an_answer(llm):
    output = llm("-m", "routed", "--no-stream", "Hello there")
    (logged,) = json.loads(llm("logs", "--json"))
    assert output.strip() == logged["response"]
    assert logged["input_tokens"] > 0
    assert logged["output_tokens"] > 0


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["streamed", "buffered"])
def test_a_tool_loop_with_parallel_calls_stays_with_its_target(llm, assert_one_target, options):
    question = 'weather {"city": "Rome"} and weather {"city": "Oslo"}'
    output = llm("-m", "routed", *options, "--functions", TOOL, question)
    assert output.strip() == "The tool said: sun in Rome and sun in Oslo"
    assert_one_target()


def test_an_answer_is_valid_under_the_schema(llm):
    output = llm("-m", "routed", "--schema", "name, age int", '{"name": "Ada", "age": 36}')
    assert json.loads(output) == {"name": "Ada", "age": 36}


def test_a_continued_conversation_sends_its_earlier_turns(llm, targets):
    llm("-m", "routed", "Hello there")
    llm("-c", "And again")
    turns = ["Hello there", "You said: Hello there", "And again"]
    assert [message["content"] for message in targets.last["messages"]] == turns


def test_an_unknown_model_is_named_in_the_error(llm):
    assert "no-such-model" in llm("-m", "unknown", "Hello", fails=True)


def test_an_error_of_a_target_is_the_commands_error(llm):
    assert "too silly" in llm("-m", "routed", "status 400: too silly", fails=True)
