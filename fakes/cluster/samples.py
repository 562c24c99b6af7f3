"""Locates the sample RouterDeployments and the golden manifests.

The golden manifests are the reviewed manifests of the children of the sample RouterDeployments.
"""

from __future__ import annotations

from pathlib import Path

from rl_router_operator.resources.defaults import Defaults, Images

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.yaml"))
GOLDEN = ROOT / "operator/tests/golden"
DEFAULTS = Defaults(
    images=Images(api="rl-router/api:VERSION", llamacpp="rl-router/model:VERSION"),
    operator_namespace="rl-router-system",
    monitoring_namespace="monitoring",
)
"""The operator's defaults with which the golden manifests were created."""
