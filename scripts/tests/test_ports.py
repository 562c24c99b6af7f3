"""Tests that run at the same time get different ports for their servers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHOOSE = """
from fakes import ports
ports._random.seed(1)
print(ports.free_ports(2), flush=True)
input()
"""


def test_two_processes_choose_different_ports_before_either_listens() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", CHOOSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    chosen = []
    for process in processes:
        assert process.stdout
        chosen.append(process.stdout.readline())
    for process in processes:
        process.communicate(b"\n", timeout=60)
        assert process.returncode == 0
    assert chosen[0] != chosen[1]
