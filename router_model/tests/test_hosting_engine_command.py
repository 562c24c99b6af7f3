"""The command that starts the engine."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from rl_router_model.hosting.engine_choice import Choice
from rl_router_model.hosting.engine_command import EngineCommand, engine_command
from rl_router_model.hosting.installation import CLONE_VARIABLE, Installation
from rl_router_model.hosting.options import Options

INSTALLED = Installation(Path("/venv/bin/python"))
CPU, GPUS, VLLM_ON_CPU = Choice("cpu", "llamacpp"), Choice("cuda", "vllm", ("0", "2")), Choice("cpu", "vllm")


def command(options: Options, choice: Choice, **environment: str) -> EngineCommand:
    return engine_command(options, choice, INSTALLED, environment)


def test_the_cpu_fallback_runs_in_the_environment_of_the_installation() -> None:
    made = command(Options(), CPU)
    assert made.as_shell() == "/venv/bin/python -m rl_router_model --host 127.0.0.1 --port 8000"
    assert made.model == "SmolLM2-135M-Instruct"


def test_the_cpu_fallback_gets_what_decides() -> None:
    made = command(Options(decide="language-model", artefact="a b", model="m.gguf"), CPU).as_shell()
    assert "-m rl_router_model --decide language-model --artefact 'a b' --model m.gguf --host" in made
    assert "--decide" not in command(Options(decide="language-model"), GPUS).as_shell()


def test_on_gpus_vllm_serves_a_7b_model_with_tool_calls_on_all_of_them() -> None:
    assert command(Options(), GPUS).as_shell() == (
        "env CUDA_VISIBLE_DEVICES=0,2 vllm serve Qwen/Qwen2.5-7B-Instruct --gpu-memory-utilization 0.9 "
        "--tensor-parallel-size 2 --enable-auto-tool-choice --tool-call-parser hermes --host 127.0.0.1 --port 8000"
    )


def test_on_a_cpu_vllm_gets_limits_that_the_environment_overrides() -> None:
    made = command(Options(), VLLM_ON_CPU, OMP_NUM_THREADS="3")
    assert made.variables == {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "3"}
    assert "--dtype bfloat16 --enforce-eager" in made.as_shell()
    assert "--max-model-len 4096" in made.as_shell()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (Options(model="org/name"), "serve org/name"),
        (Options(tensor_parallel_size=1), "--tensor-parallel-size 1"),
        (Options(gpu_memory_utilization="0.5"), "--gpu-memory-utilization 0.5"),
        (Options(tool_call_parser="llama3_json"), "--tool-call-parser llama3_json"),
        (Options(max_model_len=8192), "--max-model-len 8192"),
        (Options(chat_template="chat.jinja"), "--chat-template chat.jinja"),
        (Options(served_model_name=("a", "b c")), "--served-model-name a 'b c'"),
        (Options(host="::", port=8002), "--host :: --port 8002"),
        (Options(extra=("--seed", "1")), "--port 8000 --seed 1"),
    ],
)
def test_an_option_appears_in_the_command(options: Options, part: str) -> None:
    assert part in command(options, GPUS).as_shell()


def test_the_key_is_a_variable_and_no_argument() -> None:
    made = command(Options(api_key="very secret"), CPU)
    assert made.variables == {"VLLM_API_KEY": "very secret"}
    assert not [argument for argument in made.arguments if "secret" in argument]
    assert shlex.split(made.as_shell())[:2] == ["env", "VLLM_API_KEY=very secret"]


def test_in_a_clone_the_programs_of_its_environment_are_used(tmp_path: Path) -> None:
    clone = Installation.from_environment({CLONE_VARIABLE: str(tmp_path)})
    assert engine_command(Options(), CPU, clone, {}).arguments[0] == f"{tmp_path}/.venv/bin/python"
    assert (clone.vllm, clone.serve) == ("vllm", "bash serve.sh")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "vllm").touch()
    assert clone.vllm == f"{tmp_path}/.venv/bin/vllm"


def test_without_a_clone_this_python_and_the_installed_command_are_used() -> None:
    assert Installation.from_environment({}).clone is None
    assert INSTALLED.serve == "rl-router serve"
