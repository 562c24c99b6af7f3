"""The choice of the device, the engine and the GPUs."""

from __future__ import annotations

import pytest
from rl_router_model.hosting.engine_choice import Choice, choose
from rl_router_model.hosting.error import HostingError
from rl_router_model.hosting.options import Options

THREE_GPUS = ("0", "1", "2")


@pytest.mark.parametrize(
    ("options", "installed", "choice"),
    [
        (Options(), (), Choice("cpu", "llamacpp")),
        (Options(engine="vllm"), (), Choice("cpu", "vllm")),
        (Options(), THREE_GPUS, Choice("cuda", "vllm", THREE_GPUS)),
        (Options(gpus=("2", "0")), THREE_GPUS, Choice("cuda", "vllm", ("2", "0"))),
        (Options(device="cpu"), THREE_GPUS, Choice("cpu", "llamacpp")),
        (Options(device="cpu", engine="vllm"), THREE_GPUS, Choice("cpu", "vllm")),
        (Options(engine="llamacpp"), THREE_GPUS, Choice("cpu", "llamacpp")),
        (Options(decide="language-model"), THREE_GPUS, Choice("cuda", "vllm", THREE_GPUS)),
    ],
)
def test_gpus_are_used_with_vllm_if_there_are_any(options: Options, installed: tuple[str, ...], choice: Choice) -> None:
    assert choose(options, installed) == choice


@pytest.mark.parametrize(
    ("options", "installed", "code", "message"),
    [
        (Options(gpus=("7",)), THREE_GPUS, 1, "--gpus 7: there is no GPU 7. Use the GPUs 0, 1, 2."),
        (Options(gpus=("0",)), (), 1, "--gpus 0: nvidia-smi lists no NVIDIA GPU"),
        (Options(device="cuda"), (), 1, "--device cuda: nvidia-smi lists no NVIDIA GPU"),
        (Options(device="cuda", engine="llamacpp"), THREE_GPUS, 2, "Replace --device cuda with --device cpu"),
        (Options(decide="policy"), THREE_GPUS, 2, "--decide policy requires --engine llamacpp --device cpu"),
        (Options(artefact="a"), THREE_GPUS, 2, "--artefact requires --engine llamacpp --device cpu"),
    ],
)
def test_an_impossible_choice_is_an_error(
    options: Options, installed: tuple[str, ...], code: int, message: str
) -> None:
    with pytest.raises(HostingError) as error:
        choose(options, installed)
    assert message in str(error.value)
    assert error.value.code == code
