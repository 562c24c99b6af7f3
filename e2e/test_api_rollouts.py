"""A rollout or a deleted pod of the API fails no request under steady load."""

from __future__ import annotations

from cluster import Cluster, Namespace
from images import API
from objects import router
from release import Release
from steady_load import SPEC, steady_load, wait_until_replaced


def test_a_rollout_of_the_api_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        before = set(namespace.pods("demo", "api"))
        # This is a longer name of the same image.
        namespace.apply(router("demo", **{**SPEC, "api": {"replicas": 2, "image": f"docker.io/{API}"}}))
        wait_until_replaced(namespace, before)


def test_a_deleted_api_pod_fails_no_request(operator: Release, cluster: Cluster, namespace: Namespace) -> None:
    with steady_load(cluster, namespace):
        pod = next(iter(namespace.pods("demo", "api").values()))
        namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        wait_until_replaced(namespace, {pod["metadata"]["uid"]})
