"""An API server that drops fields which the operator applies, because its version or a feature gate lacks them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from rl_router_operator.changes.dropped_fields import dropped_fields
from rl_router_operator.controller.pod_health import ProbeIntervals

from fakes.cluster import programs
from fakes.cluster.control_plane import ApiServer
from fakes.cluster.installation import installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, Start
from fakes.cluster.waiting import eventually

GATES = ("MatchLabelKeysInPodTopologySpread", "MatchLabelKeysInPodTopologySpreadSelectorMerge")
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "api"}},
    "matchLabelKeys": ["pod-template-hash"],
}
SUPPORTED = {key: value for key, value in SPREAD.items() if key != "matchLabelKeys"}
DROPPED = {"api": {"podTemplate": {"topologySpreadConstraints": [SPREAD]}}}
OFTEN = {"probe_intervals": ProbeIntervals(settled=0.2, unsettled=0.2)}


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server on which `matchLabelKeys` is disabled, as in releases before it was introduced."""
    programs.require(*programs.API_SERVER)
    command = [programs.find("kube-apiserver"), "--help"]
    known = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    disabled = ",".join(f"{gate}=false" for gate in GATES if f"{gate}=" in known)
    with installed(tmp_path_factory.mktemp("without-a-field"), f"--feature-gates={disabled}") as server:
        yield server


async def test_a_dropped_field_is_reported_until_the_spec_no_longer_sets_it(kube: Kube, start: Start, proxy: Proxy):
    running = await start(**OFTEN)
    await kube.create(router(**DROPPED))
    await eventually(lambda: _is_reported(kube))
    await _writes_nothing(proxy, running)
    await kube.edit_spec(api={"podTemplate": {"topologySpreadConstraints": [SUPPORTED]}})
    await eventually(lambda: _is_healthy(kube))


async def test_a_restarted_operator_still_reports_a_dropped_field(kube: Kube, start: Start, proxy: Proxy):
    first = await start(**OFTEN)
    await kube.create(router(**DROPPED))
    await eventually(lambda: _is_reported(kube))
    before = await kube.existing("RouterDeployment", "demo")
    child = await kube.existing("Deployment", "demo-api")
    await first.stop()
    await _writes_nothing(proxy, await start(**OFTEN))
    assert await kube.existing("RouterDeployment", "demo") == before
    assert await kube.existing("Deployment", "demo-api") == child


async def _is_reported(kube: Kube) -> None:
    condition = await kube.condition("Degraded")
    assert (condition["status"], condition["reason"]) == ("True", "FieldUnsupported")
    assert "dropped spec.template.spec.topologySpreadConstraints[0].matchLabelKeys. Upgrade" in condition["message"]


async def _is_healthy(kube: Kube) -> None:
    assert (await kube.condition("Degraded"))["status"] == "False"


async def _writes_nothing(proxy: Proxy, running: RunningOperator) -> None:
    """Waits until the operator has reconciled several times in a row without a write."""

    async def is_idle() -> None:
        writes, reconciles = len(proxy.writes()), running.reconciles()
        await eventually(lambda: _has_reconciled(running, reconciles + 3))
        assert len(proxy.writes()) == writes

    await eventually(is_idle)


def _has_reconciled(running: RunningOperator, count: int) -> None:
    assert running.reconciles() >= count


@pytest.mark.parametrize(
    ("applied", "result", "paths"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ["spec.a.c"]),
        ({"a": {"b": 1}}, {}, ["spec.a"]),
        ({"a": "", "b": 0, "c": False, "d": [], "e": {}, "f": None}, {}, []),
        ({"a": [{"name": "x", "b": 1}]}, {"a": [{"name": "sidecar"}, {"name": "x"}]}, ["spec.a[0].b"]),
        ({"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": 1}, {}]}, ["spec.a[1].c"]),
        ({"a": [{"name": "x"}]}, {"a": []}, ["spec.a[0].name"]),
        ({"a": ["x", "y"]}, {"a": ["y"]}, []),
    ],
)
def test_dropped_fields_have_a_value_and_are_missing_in_the_result(
    applied: dict[str, object], result: dict[str, object], paths: list[str]
) -> None:
    metadata = {"name": "demo", "labels": {"a": "b"}}
    manifest = {"apiVersion": "v1", "kind": "Any", "metadata": metadata, "spec": applied}
    assert dropped_fields(manifest, {"metadata": {}, "spec": result}) == paths
