"""The checks before the engine starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from rl_router_model.hosting import gpus, preflight
from rl_router_model.hosting.endpoint import Endpoint
from rl_router_model.hosting.error import HostingError
from rl_router_model.hosting.gpus import Gpu, check_memory, read_gpu
from rl_router_model.hosting.options import Options


@pytest.mark.parametrize("model", ["/no/such/model", "./none.gguf", "../none", "none.gguf"])
def test_a_path_that_leads_to_no_model_is_an_error(model: str) -> None:
    with pytest.raises(HostingError, match=f"--model: there is no file or folder {model}. Fix the path."):
        preflight.check_files(Options(model=model))


@pytest.mark.parametrize("model", ["", "Qwen/Qwen2.5-7B-Instruct", "hf://org/name/file.gguf"])
def test_a_model_of_the_hub_is_no_path(model: str) -> None:
    preflight.check_files(Options(model=model))


def test_a_chat_template_must_be_readable(tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    with pytest.raises(HostingError, match=f"--chat-template: {template} cannot be read"):
        preflight.check_files(Options(chat_template=str(template)))
    template.touch()
    preflight.check_files(Options(chat_template=str(template)))


def test_a_port_in_use_is_an_error_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(HostingError, match=f"port {port} is in use.*--port"):
            preflight.check_port(Endpoint("http", "127.0.0.1", port))
    preflight.check_port(Endpoint("http", "127.0.0.1", port))


def test_shared_memory_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    preflight.check_shared_memory(tmp_path / "missing")


@pytest.mark.parametrize(
    ("output", "installed"),
    [("0\n1\n", ("0", "1")), ("NVIDIA-SMI has failed because it couldn't communicate with the driver.\n", ())],
)
def test_the_gpus_are_the_numbers_that_nvidia_smi_prints(
    output: str, installed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' \"{output}\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.installed() == installed


def test_a_gpu_with_too_little_free_memory_is_named_with_the_share_that_fits() -> None:
    pair = (Gpu("0", 80000, 80000), Gpu("1", 20000, 80000))
    with pytest.raises(HostingError) as error:
        check_memory(pair, "0.9")
    assert str(error.value).startswith(
        "GPU 1 has 20000 of 80000 MiB free, but --gpu-memory-utilization 0.9 requires 72000 MiB. "
        "Lower --gpu-memory-utilization to 0.25,"
    )
    check_memory(pair, "0.25")


def test_the_error_for_a_gpu_without_free_memory_suggests_no_fraction() -> None:
    with pytest.raises(HostingError) as raised:
        check_memory((Gpu("0", 100, 80_000),), "0.9")
    assert "requires 72000 MiB. Stop the programs that use the GPU, or choose other GPUs with --gpus." in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("line", "gpu"), [("0, 79000, 81559", Gpu("0", 79000, 81559)), ("0, [N/A], [N/A]", None), ("No devices", None)]
)
def test_a_line_of_nvidia_smi_is_read_if_it_has_numbers(line: str, gpu: Gpu | None) -> None:
    assert read_gpu(line) == gpu
