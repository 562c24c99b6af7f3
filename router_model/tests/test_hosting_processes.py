"""The engine's process: its output, its end, and the signals that stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rl_router_model.hosting.endpoint import Endpoint
from rl_router_model.hosting.engine_command import EngineCommand
from rl_router_model.hosting.error import HostingError
from rl_router_model.hosting.server_process import ServerProcess
from rl_router_model.hosting.signals import Interrupted, Signals
from rl_router_model.hosting.supervise import supervise
from rl_router_process.output import STDOUT

from fakes.testbed.streams import full_pipe

NOBODY = Endpoint("http", "127.0.0.1", 9)


def shell(script: str) -> ServerProcess:
    return ServerProcess(["bash", "-c", script], {})


def test_output_is_passed_on_and_the_last_500_lines_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    server = shell("seq 1000; echo last >&2")
    assert server.wait() == 0
    assert server.last_lines() == (*(f"{number}\n" for number in range(502, 1001)), "last\n")
    STDOUT.flush()
    assert capfd.readouterr().out.startswith("1\n2\n")


def test_an_engine_never_waits_for_a_reader_of_its_output() -> None:
    program = """
from rl_router_model.hosting.server_process import ServerProcess
raise SystemExit(ServerProcess(["bash", "-c", "yes | head -c 20000000"], {}).wait())
"""
    with full_pipe() as (_, full):
        assert subprocess.run([sys.executable, "-c", program], stdout=full, timeout=60, check=False).returncode == 0


def test_a_server_gets_its_variables() -> None:
    server = ServerProcess(["bash", "-c", "echo $VLLM_API_KEY"], {"VLLM_API_KEY": "secret"})
    server.wait()
    assert server.last_lines() == ("secret\n",)


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
def test_the_exit_status_is_that_of_a_shell(script: str, status: int) -> None:
    assert shell(script).wait() == status


def test_a_program_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "vllm"
    program.touch()
    with pytest.raises(HostingError, match="vllm cannot be started: Permission denied"):
        ServerProcess([str(program)], {})


def test_stopping_ends_the_processes_that_the_server_leaves_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    server = shell(f"(trap '' TERM; exec 4> '{tmp_path}/alive'; echo started; while :; do sleep 60; done) & wait")
    with (tmp_path / "alive").open("rb") as alive:
        server.stop()
        # read() returns at the end of file, when the last process that had the pipe open for writing has ended.
        assert alive.read() == b""
    assert not server.running


def test_an_engine_that_ends_before_it_answers_is_explained() -> None:
    script = "echo 'torch.OutOfMemoryError: CUDA out of memory'; exit 3"
    with pytest.raises(HostingError, match="too little GPU memory") as error:
        supervise(EngineCommand(("bash", "-c", script), {}, "org/name"), NOBODY, 30, "rl-router serve")
    assert error.value.code == 3


def test_an_engine_that_ends_with_status_0_is_an_error_too() -> None:
    with pytest.raises(HostingError, match="did not start: it printed nothing") as error:
        supervise(EngineCommand(("true",), {}, "org/name"), NOBODY, 30, "rl-router serve")
    assert error.value.code == 1


def test_an_engine_that_does_not_answer_in_time_is_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    command = EngineCommand((sys.executable, "-c", "import time; time.sleep(600)"), {}, "org/name")
    with pytest.raises(HostingError, match=r"did not answer within 0 s\. Allow more time with --wait"):
        supervise(command, NOBODY, 0, "rl-router serve")
    STDOUT.flush()
    assert "Stopping the router model" in capfd.readouterr().out


def test_a_signal_waits_until_the_server_is_known() -> None:
    signals = Signals()
    with signals.handled():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as interrupted, signals.raised():
            pytest.fail("the signal was lost")
    assert interrupted.value.code == 143


def test_the_first_signal_counts_and_no_other_interrupts_the_stop() -> None:
    signals = Signals()
    with signals.handled():
        with pytest.raises(Interrupted) as interrupted, signals.raised():
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert interrupted.value.code == 129


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals = Signals()
        with signals.handled(), signals.raised():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
