"""What the operator may do: what it needs and no more."""

from rl_router_operator import rbac
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.objects.naming import LEASE


def test_no_rule_lets_the_operator_read_a_secret_or_a_log_or_write_a_spec():
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


def test_every_kind_that_is_made_may_be_watched_and_made_and_all_but_the_deployment_removed():
    granted = {rule["resources"][0]: set(rule["verbs"]) for rule in rbac.operator_rules()}
    for kind in KINDS:
        removal = set() if kind.kind == "Deployment" else {"delete"}
        assert granted[kind.plural] == {"get", "list", "watch", "create", "patch"} | removal


def test_one_lease_alone_may_be_written():
    written = [rule for rule in rbac.lease_rules() if "update" in rule["verbs"]]
    assert [rule["resourceNames"] for rule in written] == [[LEASE]]
