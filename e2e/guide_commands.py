"""Runs the guides' commands. One shell runs the bash blocks below `<!-- tested -->` in order and unchanged."""

from __future__ import annotations

import os
import re
import subprocess

from images import ROOT

TESTED = re.compile(r"^<!-- tested -->\n```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
PREAMBLE = """
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill' EXIT
# Uses KIND_NODE_IMAGE if it is set, because kind's default image may not be available.
kind() {
    [ "$1" != create ] || [ -z "${KIND_NODE_IMAGE:-}" ] || set -- "$@" --image "$KIND_NODE_IMAGE"
    command kind "$@"
}
# The registry in the guides does not exist, so a push loads the image into the nodes instead.
docker() {
    if [ "$1" = push ]; then kind load docker-image --nodes "$NODES" "$2"; else command docker "$@"; fi
}
"""


def run_guides(*guides: str, **variables: str) -> str:
    """Runs the guides' commands and returns their output. If a command fails, the test fails with the whole output."""
    blocks = [block for guide in guides for block in TESTED.findall((ROOT / guide).read_text("utf-8"))]
    assert blocks
    command = ["bash", "-xc", PREAMBLE + "\n".join(blocks)]
    process = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=1800
    )  # fmt: skip
    assert process.returncode == 0, f"{process.stdout}\n{process.stderr}"
    return process.stdout
