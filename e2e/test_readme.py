"""The chart's README, word by word: what is marked as tested in it is run."""

from __future__ import annotations

import os
import re
import subprocess

from cluster import Cluster
from images import ROOT
from release import CHART, Release

TESTED = re.compile(r"<!-- tested -->\n```bash\n(.*?)```", re.DOTALL)


def test_the_readmes_commands_install_upgrade_and_uninstall(operator: Release, cluster: Cluster) -> None:
    operator.uninstall()
    blocks = TESTED.findall((CHART / "README.md").read_text("utf-8"))
    assert [block.split()[1] for block in blocks] == ["install", "upgrade", "uninstall"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    for block in blocks:
        command = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
