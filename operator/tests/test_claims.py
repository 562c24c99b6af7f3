"""Which of several operators acts in a namespace follows from their claims alone."""

from __future__ import annotations

from itertools import permutations

import pytest
from rl_router_operator.objects.claims import Claim, acting_operators, operator_in, read_claim

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def cluster(holder: str, created: str = OLD, uid: str = "a") -> Claim:
    return Claim(holder, "operators", is_cluster_wide=True, created=created, uid=uid)


def namespaced(holder: str, namespace: str = "team", created: str = OLD, uid: str = "a") -> Claim:
    return Claim(holder, namespace, is_cluster_wide=False, created=created, uid=uid)


CASES = {
    "nobody claims": ([], ""),
    "one cluster-wide claim": ([cluster("ops/one")], "ops/one"),
    "a claim of the namespace": ([namespaced("ops/one")], "ops/one"),
    "a claim of another namespace": ([namespaced("ops/one", "other")], ""),
    "an older cluster-wide claim": ([cluster("ops/one"), namespaced("ops/two", created=NEW)], "ops/two"),
    "a younger cluster-wide claim": ([cluster("ops/one", NEW), namespaced("ops/two")], "ops/two"),
    "two cluster-wide claims": ([cluster("ops/one", NEW), cluster("ops/two")], "ops/two"),
    "two cluster-wide claims of the same second": ([cluster("ops/one", uid="b"), cluster("ops/two")], "ops/two"),
    "a claim without a holder": ([namespaced(""), cluster("ops/one")], "ops/one"),
    "a cluster-wide claim in the same namespace": (
        [Claim("ops/one", "team", is_cluster_wide=True, created=OLD, uid="a"), namespaced("ops/two", created=NEW)],
        "ops/two",
    ),
}


@pytest.mark.parametrize(("claims", "operator"), CASES.values(), ids=CASES)
def test_the_acting_operator_follows_from_the_claims_in_any_order(claims: list[Claim], operator: str):
    for ordered in permutations(claims):
        assert operator_in("team", acting_operators(ordered)) == operator


@pytest.mark.parametrize(
    ("labels", "is_cluster_wide"),
    [
        ({"rlrouter.dev/scope": "cluster"}, True),
        ({"rlrouter.dev/scope": "namespace"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_label_of_a_claim_says_whether_it_is_cluster_wide(labels, is_cluster_wide: bool):
    metadata = {"name": "rl-router-scope", "namespace": "team", "labels": labels, "uid": "u", "creationTimestamp": OLD}
    claim = read_claim({"metadata": metadata, "spec": {"holderIdentity": "ops/one"}})
    assert claim == Claim("ops/one", "team", is_cluster_wide, OLD, "u")
