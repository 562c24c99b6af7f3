"""The operator's permissions: those that it needs and no others."""

import pytest
from rl_router_operator import rbac
from rl_router_operator.objects.claims import CLAIM_NAMES
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import LEASE

from fakes.cluster.installation import all_rules


def test_the_operator_may_not_read_secrets_or_logs_and_may_not_write_a_spec():
    granted = {
        (group, resource, verb)
        for rule in all_rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    resources = {resource for _, resource, _ in granted}
    assert not resources & {"secrets", "pods/log", "*"}
    assert "*" not in {verb for *_, verb in granted}
    assert {verb for _, resource, verb in granted if resource == "routerdeployments"} == {"get", "list", "watch"}


def test_the_operator_may_watch_create_and_patch_all_children_and_delete_all_but_deployments():
    granted = {rule["resources"][0]: set(rule["verbs"]) for rule in rbac.operator_rules()}
    for kind in KINDS:
        deletion = set() if kind.kind == "Deployment" else {"delete"}
        assert granted[kind.plural] == {"get", "list", "watch", "create", "patch"} | deletion


@pytest.mark.parametrize(
    ("rules", "names"),
    [(rbac.lease_rules(), [LEASE]), (rbac.claim_rules(), list(CLAIM_NAMES))],
    ids=["leader election", "claims"],
)
def test_the_operator_may_create_leases_and_may_read_and_update_only_its_own(rules: list[Manifest], names: list[str]):
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        (["create"], None),
        (["get", "update"], names),
    ]


def test_the_operator_may_only_list_and_watch_the_leases_of_the_whole_cluster():
    (rule,) = rbac.claim_watch_rules()
    assert (rule["resources"], rule["verbs"]) == (["leases"], ["list", "watch"])
    assert "leases" not in {rule["resources"][0] for rule in rbac.operator_rules()}
