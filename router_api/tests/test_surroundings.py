"""The server runs even if its standard streams are closed, broken or full, or its terminal is closed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.testbed.configuration import router_section, target
from fakes.testbed.program import PATIENT, Program, Programs
from fakes.testbed.responses import exact
from fakes.testbed.router import Testbed
from fakes.testbed.streams import broken_pipe, full_pipe
from fakes.upstreams.exchange import Body

STREAMS = {
    "stdin closed": "<&-",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "stdout full": ">&{full}",
    "stderr full": "2>&{full}",
    "both full": ">&{full} 2>&{full}",
    "both broken": ">&{broken} 2>&{broken}",
    "stderr on a full disk": "2>/dev/full",
    "stderr in a program that reads one line": "2> >(head -n 1 >/dev/null)",
}
FOR_WORKERS = ("all closed", "both full", "both broken", "stderr on a full disk")
CASES = [*((1, name) for name in STREAMS), *((2, name) for name in FOR_WORKERS)]


async def configured(testbed: Testbed, **server: object) -> Body:
    model, alpha = await testbed.upstream(), await testbed.upstream()
    targets = [target("alpha", alpha.url, timeout=PATIENT)]
    return {"router": router_section(model.url), "targets": targets, "server": server}


def streams_of(process: int) -> list[str]:
    """Returns the files of the descriptors 0, 1 and 2 of a process."""
    return [os.readlink(f"/proc/{process}/fd/{number}") for number in (0, 1, 2)]


async def serves(program: Program) -> None:
    assert (await program.send()).status_code == 200
    for path in ("/health", "/ready", "/metrics"):
        assert (await program.admin(path)).status_code == 200


@pytest.mark.parametrize(("workers", "streams"), CASES)
async def test_it_serves_and_stops_whatever_its_standard_streams_are(
    testbed: Testbed, programs: Programs, workers: int, streams: str
) -> None:
    with full_pipe() as (_, full), broken_pipe() as broken:
        redirections = STREAMS[streams].format(full=full, broken=broken)
        config = await configured(testbed, workers=workers)
        program = await programs.start_with_streams(config, redirections, full, broken)
        await serves(program)
        for process in (program.process.pid, *program.workers()):
            opened_by_the_test = ("/dev/", "pipe:", str(programs.folder))
            assert not [file for file in streams_of(process) if not file.startswith(opened_by_the_test)]
        program.process.send_signal(signal.SIGINT)
        assert await program.exit_status() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_survives_a_closed_terminal(testbed: Testbed, programs: Programs, workers: int) -> None:
    program = await programs.start(await configured(testbed, workers=workers))
    for process in (program.process.pid, *program.workers()):
        os.kill(process, signal.SIGHUP)
    await serves(program)
    program.process.send_signal(signal.SIGINT)
    assert await program.exit_status() == 0


async def test_lost_log_lines_are_counted_and_reported_once_when_the_log_is_read_again(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with full_pipe() as (reading, full):
        config = await configured(testbed, log_prompts=True)
        program = await programs.start_with_streams(config, f"2>&{full}", full)
        # The queue has room for 8 MiB. Each request logs its prompt, which has 3 MiB.
        for _ in range(4):
            assert (await program.send("x" * 3 * 2**20)).status_code == 200
        assert await program.metric("rl_router_log_lines_lost_total") == 2

        os.set_blocking(reading, False)

        def reported() -> bool:
            with log.open("ab") as file, suppress(BlockingIOError):
                file.write(os.read(reading, 2**20))
            return b"log lines were lost" in log.read_bytes()[-4096:]

        await program.until(reported, "the report of the lost lines")
        assert (await program.send()).status_code == 200
        program.process.send_signal(signal.SIGINT)
        assert await program.exit_status() == 0
        reported()
    lines = [exact(line) for line in log.read_bytes().lstrip(b"-").splitlines() if line.startswith(b"{")]
    assert [line["message"] for line in lines].count("request") == 3
    assert [line["lost"] for line in lines if "lost" in line] == [2]
