"""The guides, word by word: what is marked as tested in them is run, one block after the other, as a person would."""

from __future__ import annotations

import os
import re
import subprocess

from images import ROOT

TESTED = re.compile(r"^<!-- tested -->\n```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
PREAMBLE = """
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill' EXIT
# The nodes' image is named where kind's own cannot be pulled.
kind() {
    [ "$1" != create ] || [ -z "${KIND_NODE_IMAGE:-}" ] || set -- "$@" --image "$KIND_NODE_IMAGE"
    command kind "$@"
}
# Nobody runs the guides' registry: what is pushed to it goes into the nodes that have the images by another name.
docker() {
    if [ "$1" = push ]; then kind load docker-image --nodes "$NODES" "$2"; else command docker "$@"; fi
}
"""


def follow(*guides: str, **variables: str) -> str:
    """What the guides' commands write. Fails with all that they said where one of them fails."""
    blocks = [block for guide in guides for block in TESTED.findall((ROOT / guide).read_text("utf-8"))]
    assert blocks
    command = ["bash", "-xc", PREAMBLE + "\n".join(blocks)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=1800
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
