"""The operator's permissions: those that it needs and no others."""

import pytest
from rl_router_operator import rbac
from rl_router_operator.objects.claims import CLAIM_NAMES
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import LEASE


def test_the_operator_may_not_read_secrets_or_logs_and_may_not_write_a_spec():
    granted = {
        (group, resource, verb)
        for rule in (*rbac.operator_rules(), *rbac.lease_rules())
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
    [(rbac.lease_rules(), [LEASE]), (rbac.operator_rules(), list(CLAIM_NAMES))],
    ids=["own", "watched"],
)
def test_the_operator_may_update_only_its_lease_and_its_claims(rules: list[Manifest], names: list[str]):
    updating = [rule for rule in rules if "update" in rule["verbs"]]
    assert [(rule["resources"], rule["resourceNames"]) for rule in updating] == [(["leases"], names)]
