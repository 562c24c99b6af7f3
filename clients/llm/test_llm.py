"""The `llm` command, with the router as one of its extra OpenAI models."""

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
        done = subprocess.run(
            [Path(sys.executable).with_name("llm"), *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert bool(done.returncode) == fails, done.stderr
        return done.stderr if fails else done.stdout

    return run


@pytest.mark.parametrize("way", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_a_prompt_is_answered(llm, way):
    assert llm("-m", "routed", *way, "Hello there").strip() == "You said: Hello there"


def test_its_usage_is_told(llm):
    done = llm("-m", "routed", "--no-stream", "Hello there")
    (logged,) = json.loads(llm("logs", "--json"))
    assert done.strip() == logged["response"]
    assert logged["input_tokens"] > 0
    assert logged["output_tokens"] > 0


@pytest.mark.parametrize("way", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_a_tool_loop_with_parallel_calls_stays_with_its_target(llm, is_one_loop, way):
    question = 'weather {"city": "Rome"} and weather {"city": "Oslo"}'
    said = llm("-m", "routed", *way, "--functions", TOOL, question)
    assert said.strip() == "The tool said: sun in Rome and sun in Oslo"
    is_one_loop()


def test_a_schema_shapes_the_answer(llm):
    said = llm("-m", "routed", "--schema", "name, age int", '{"name": "Ada", "age": 36}')
    assert json.loads(said) == {"name": "Ada", "age": 36}


def test_a_conversation_goes_on(llm, targets):
    llm("-m", "routed", "Hello there")
    llm("-c", "And again")
    said = ["Hello there", "You said: Hello there", "And again"]
    assert [each["content"] for each in targets.last["messages"]] == said


def test_an_unknown_model_is_named_in_the_error(llm):
    assert "no-such-model" in llm("-m", "unknown", "Hello", fails=True)


def test_what_a_target_finds_wrong_is_the_commands_error(llm):
    assert "too silly" in llm("-m", "routed", "status 400: too silly", fails=True)
