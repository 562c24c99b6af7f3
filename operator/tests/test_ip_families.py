"""Services on API servers with both IP families, and with IPv6 alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rl_router_operator.changes.drift import is_applied
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import FIELD_MANAGER
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.control_plane import ApiServer
from fakes.cluster.installation import installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.routers import deployed
from fakes.cluster.running_operator import Start

RANGES = {"IPv4": "10.0.0.0/16", "IPv6": "fd00:10:96::/112"}
FAMILIES = {"dual-stack": ["IPv4", "IPv6"], "IPv6 only": ["IPv6"]}
ADVERTISED = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}
"""Addresses that the API server publishes as its own. They must have the preferred family."""
SERVICES = ("demo-model", "demo-model-pods", "demo-api")


@pytest.fixture(scope="module", params=FAMILIES.values(), ids=FAMILIES)
def families(request: pytest.FixtureRequest) -> list[str]:
    """The IP families of the cluster, the preferred family first."""
    return list(request.param)


@pytest.fixture(scope="module")
def api_server(families: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server whose Services have addresses of these families."""
    require(*API_SERVER)
    ranges = ",".join(RANGES[family] for family in families)
    flags = (f"--service-cluster-ip-range={ranges}", f"--advertise-address={ADVERTISED[families[0]]}")
    with installed(tmp_path_factory.mktemp("control-plane"), *flags) as server:
        yield server


async def test_every_service_has_the_families_of_the_cluster_and_is_not_written_again(
    kube: Kube, start: Start, families: list[str]
) -> None:
    await deployed(kube, start, {})
    router = read(await kube.existing("RouterDeployment", "demo"))
    wanted = {child["metadata"]["name"]: child for child in desired(router, Defaults()) if child["kind"] == "Service"}
    assert set(wanted) == set(SERVICES)
    for name, service in wanted.items():
        live = await kube.existing("Service", name)
        assert live["spec"]["ipFamilies"] == families
        assert live["spec"]["ipFamilyPolicy"] == "PreferDualStack"
        assert is_applied(service, live)


async def test_a_service_of_an_older_operator_keeps_its_address_and_gets_the_other_family(
    kube: Kube, families: list[str]
) -> None:
    spec = {"type": "ClusterIP", "selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    before = await _apply(kube, spec)
    after = await _apply(kube, {**spec, "ipFamilyPolicy": "PreferDualStack"})
    assert before["spec"]["ipFamilies"] == families[:1]
    assert after["spec"]["ipFamilies"] == families
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def _apply(kube: Kube, spec: Manifest) -> Manifest:
    response = await kube.client.patch(
        kube.path("Service", "older"),
        params={"fieldManager": FIELD_MANAGER},
        headers={"Content-Type": "application/apply-patch+yaml"},
        json={"apiVersion": "v1", "kind": "Service", "metadata": {"name": "older"}, "spec": spec},
    )
    response.raise_for_status()
    return dict(response.json())
