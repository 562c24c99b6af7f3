"""A router runs in a cluster whose pods and Services have only IPv6 addresses."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import kind
import pytest
from cluster import Manifest, Namespace
from in_cluster_client import Client, assert_complete
from objects import router
from release import IPV6, Release, installed


@pytest.fixture(scope="module")
def chart(folder: Path) -> Release:
    """Returns the release in a cluster with the IP family IPv6."""
    if kind.existing():
        pytest.skip("E2E_KUBECONFIG names an existing cluster. This test requires that E2E_KUBECONFIG is not set")
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6. Enable IPv6 in its kernel")
    return installed(IPV6, folder)


def test_a_router_answers_in_an_ipv6_cluster(operator: Release, namespace: Namespace, client: Client) -> None:
    namespace.apply(router("demo"))
    namespace.wait_until_ready("demo")
    for stream in (False, True):
        assert_complete(client.request("demo", stream=stream))
    pods = [*operator.namespace.all("pod"), *namespace.all("pod")]
    assert {_family(address["ip"]) for pod in pods for address in pod["status"]["podIPs"]} == {6}
    assert {_restarts(pod) for pod in pods} == {0}
    services = [service["spec"] for service in namespace.all("service")]
    assert {(*service["ipFamilies"], service["ipFamilyPolicy"]) for service in services} == {
        ("IPv6", "PreferDualStack")
    }


def _family(address: str) -> int:
    return ipaddress.ip_address(address).version


def _restarts(pod: Manifest) -> int:
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
