"""Under steady load nothing that is done to the API costs a request: rolled, killed."""

from __future__ import annotations

from cluster import Cluster, Namespace
from images import API
from objects import router
from release import Release
from steady import SPEC, steady_load, until_replaced


def test_a_rolled_api_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        before = set(namespace.pods("demo", "api"))
        # The same image by a longer name.
        namespace.apply(router("demo", **{**SPEC, "api": {"replicas": 2, "image": f"docker.io/{API}"}}))
        until_replaced(namespace, before)


def test_a_deleted_pod_of_the_api_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        pod = next(iter(namespace.pods("demo", "api").values()))
        namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        until_replaced(namespace, {pod["metadata"]["uid"]})
