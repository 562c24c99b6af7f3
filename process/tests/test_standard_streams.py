"""Closed standard streams are opened, so that no file or socket gets their numbers."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, socket, sys
from rl_router_process.standard_streams import open_closed_streams
open_closed_streams()
sys.stdin.read(0)
print("out")
print("error", file=sys.stderr)
with socket.socket() as opened, open(sys.argv[1], "w") as report:
    report.write(" ".join(str(descriptor) for descriptor in (opened.fileno(), report.fileno())))
"""


@pytest.mark.parametrize("streams", ["", "<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_no_socket_or_file_gets_the_number_of_a_standard_stream(tmp_path, streams: str) -> None:
    report = tmp_path / "report"
    command = ["bash", "-c", f'exec "$@" {streams}', "bash", sys.executable, "-c", PROGRAM, str(report)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert min(int(descriptor) for descriptor in report.read_text().split()) > 2
    assert ended.stdout == ("" if " >&-" in f" {streams}" else "out\n")
    assert ended.stderr == ("" if "2>&-" in streams else "error\n")
