"""Builds the command that starts the engine. The engine is vLLM, or llama.cpp in the CPU fallback."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl_router_model import cpus

from .engine_choice import Choice
from .installation import Installation
from .options import Options

_GPU_MODEL = "Qwen/Qwen2.5-7B-Instruct"
_CPU_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
_BUNDLED_MODEL = "SmolLM2-135M-Instruct"
_CPU_MODEL_LENGTH = 4096


@dataclass(frozen=True)
class EngineCommand:
    """The command that starts the engine: the program with arguments, additional environment variables and the
    model."""

    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    model: str

    def as_shell(self) -> str:
        """Returns the command as a line that a user can run in a shell."""
        settings = [f"{name}={value}" for name, value in self.variables.items()]
        return shlex.join([*(["env", *settings] if settings else []), *self.arguments])


def engine_command(
    options: Options, choice: Choice, installation: Installation, environment: Mapping[str, str]
) -> EngineCommand:
    """Returns the command that starts the engine.

    For vLLM on a CPU, the variables VLLM_CPU_KVCACHE_SPACE and OMP_NUM_THREADS in `environment` override the defaults.
    """
    variables: dict[str, str] = {}
    if choice.engine == "llamacpp":
        model = options.model
        start = [str(installation.python), "-m", "rl_router_model", *_own_arguments(options)]
    elif choice.device == "cuda":
        model = options.model or _GPU_MODEL
        start, variables = _vllm_on_gpus(options, choice, installation.vllm, model)
    else:
        model = options.model or _CPU_MODEL
        start, variables = _vllm_on_cpu(installation.vllm, model, environment)
    if options.api_key:
        # If the API key were an argument, every user of the machine could read it in the list of processes.
        variables = {"VLLM_API_KEY": options.api_key, **variables}
    arguments = (*start, *_shared_arguments(options, choice), *options.extra)
    return EngineCommand(arguments, variables, model or _BUNDLED_MODEL)


def _own_arguments(options: Options) -> Iterator[str]:
    """Yields the arguments of the CPU fallback that vLLM does not have, or that vLLM expects in another form."""
    for name, value in (("decide", options.decide), ("artefact", options.artefact), ("model", options.model)):
        if value:
            yield from (f"--{name}", value)


def _vllm_on_gpus(options: Options, choice: Choice, program: str, model: str) -> tuple[list[str], dict[str, str]]:
    ranks = options.tensor_parallel_size or len(choice.gpus)
    memory = ["--gpu-memory-utilization", options.gpu_memory_utilization]
    arguments = [program, "serve", model, *memory, "--tensor-parallel-size", str(ranks)]
    return arguments, {"CUDA_VISIBLE_DEVICES": ",".join(choice.gpus)}


def _vllm_on_cpu(program: str, model: str, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    defaults = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": str(cpus.available())}
    variables = {name: environment.get(name) or default for name, default in defaults.items()}
    return [program, "serve", model, "--dtype", "bfloat16", "--enforce-eager"], variables


def _shared_arguments(options: Options, choice: Choice) -> Iterator[str]:
    """Yields the arguments that every engine gets, and for vLLM also the arguments for tool calls."""
    length = options.max_model_len
    if choice.engine == "vllm":
        yield from ("--enable-auto-tool-choice", "--tool-call-parser", options.tool_call_parser)
        if choice.device == "cpu":
            length = length or _CPU_MODEL_LENGTH
    if options.served_model_name:
        yield from ("--served-model-name", *options.served_model_name)
    yield from ("--host", options.host, "--port", str(options.port))
    if length:
        yield from ("--max-model-len", str(length))
    if options.chat_template:
        yield from ("--chat-template", options.chat_template)
