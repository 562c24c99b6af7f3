"""The command line of `rl-router model`."""

from __future__ import annotations

import pytest
from rl_router_model.hosting.error import HostingError
from rl_router_model.hosting.options import Options, parse


def parsed(*arguments: str) -> Options:
    return parse(arguments, "rl-router model")


def test_without_arguments_every_option_has_its_default() -> None:
    assert parsed() == Options()


def test_a_value_follows_its_flag_or_an_equals_sign() -> None:
    assert parsed("--port", "8002", "--gpus=0,2") == Options(port=8002, gpus=("0", "2"))


def test_a_model_may_have_several_names() -> None:
    options = parsed("--served-model-name", "a", "b c", "--port", "1", "--served-model-name=d")
    assert options.served_model_name == ("a", "b c", "d")


def test_a_key_may_begin_with_a_dash() -> None:
    assert parsed("--api-key", "-secret").api_key == "-secret"


def test_everything_behind_two_dashes_belongs_to_the_engine() -> None:
    assert parsed("--port", "1", "--", "--seed", "1", "--port", "2") == Options(
        port=1, extra=("--seed", "1", "--port", "2")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prot", "1"], "unknown flag --prot. Use --port. See --help."),
        (["--prot=1"], "unknown flag --prot. Use --port. See --help."),
        (["--quantize", "x"], "unknown flag --quantize. Write options of the engine after --. See --help."),
        (["model"], "unknown flag model. Use --model. See --help."),
        (["--gpu", "1"], "unknown flag --gpu. Use --gpus. See --help."),
        (["--port"], "--port requires a value. See --help."),
        (["--served-model-name"], "--served-model-name requires a value. See --help."),
        (["--port", "0"], '--port: "0" is not a port. Use a number from 1 to 65535. See --help.'),
        (["--port", "65536"], '--port: "65536" is not a port. Use a number from 1 to 65535. See --help.'),
        (["--port", "--model"], '--port: "--model" is not a port. Use a number from 1 to 65535. See --help.'),
        (
            ["--wait", "soon"],
            '--wait: "soon" is not a valid number of seconds. Use a whole number such as 1800. See --help.',
        ),
        (["--device", "tpu"], '--device: "tpu" is not one of auto, cuda, cpu. See --help.'),
        (["--engine", "ollama"], '--engine: "ollama" is not one of auto, vllm, llamacpp. See --help.'),
        (
            ["--max-model-len", "0"],
            '--max-model-len: "0" is not a valid number. Use a positive whole number such as 2. See --help.',
        ),
        (
            ["--tensor-parallel-size", "a"],
            '--tensor-parallel-size: "a" is not a valid number. Use a positive whole number such as 2. See --help.',
        ),
        (["--gpus", "all"], '--gpus: "all" is not a list of GPUs. Write the GPUs\' indexes, such as 0,1. See --help.'),
    ],
)
def test_an_error_names_the_flag_the_value_and_the_remedy(arguments: list[str], message: str) -> None:
    with pytest.raises(HostingError) as error:
        parsed(*arguments)
    assert (str(error.value), error.value.code) == (message, 2)


@pytest.mark.parametrize("share", ["0", "0.0", "1.5", "-1", "half", ".", "1e-1"])
def test_a_share_of_the_memory_is_above_0_and_at_most_1(share: str) -> None:
    with pytest.raises(HostingError, match=r"--gpu-memory-utilization: .* is not a share"):
        parsed("--gpu-memory-utilization", share)


@pytest.mark.parametrize("share", ["0.9", ".5", "1", "1.0", "0.05"])
def test_a_share_of_the_memory_is_passed_on_as_written(share: str) -> None:
    assert parsed("--gpu-memory-utilization", share).gpu_memory_utilization == share


def test_the_help_explains_every_option_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parsed("--help")
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith("usage: rl-router model [options] [-- options of the engine]")
    flags = (
        "--" + name.replace("_", "-") for name in Options.__dataclass_fields__ if name not in ("extra", "print_only")
    )
    assert not [flag for flag in (*flags, "--print", "exit codes:") if flag not in text]
