"""Defines the permissions of the operator and of users, as rules for Roles and ClusterRoles."""

from __future__ import annotations

from .objects.claims import CLAIM_NAMES
from .objects.kinds import KINDS, POD, PVC, Kind
from .objects.manifest import Manifest
from .objects.naming import LEASE
from .schema import GROUP, PLURAL

READ = ("get", "list", "watch")
_WATCH = ("list", "watch")
_LEASES = ("coordination.k8s.io", "leases")


def operator_rules() -> list[Manifest]:
    """Returns the operator's permissions in watched namespaces. They exclude Secrets, pod logs and Leases."""
    return [
        _rule(GROUP, PLURAL, READ),
        _rule(GROUP, f"{PLURAL}/status", ("patch",)),
        *(_rule(_group(kind), kind.plural, (*READ, "create", "patch", *_removal(kind))) for kind in KINDS),
        # The operator needs this permission to hand the replicas over to an autoscaler.
        _rule("apps", "deployments/scale", ("patch",)),
        _rule(_group(POD), POD.plural, _WATCH),
        _rule(_group(PVC), PVC.plural, (*_WATCH, "patch")),
        _rule("", "events", _WATCH),
        _rule("events.k8s.io", "events", ("create",)),
    ]


def lease_rules() -> list[Manifest]:
    """Returns the RBAC rules that leader election needs in the operator's own namespace."""
    return _holder_rules(LEASE)


def claim_rules() -> list[Manifest]:
    """Returns the RBAC rules that the operator needs in each namespace that has a claim of the operator.

    An operator with `watchNamespaces` has a claim in each watched namespace. A cluster-wide operator has one claim, in
    the operator's own namespace.
    """
    return _holder_rules(*CLAIM_NAMES)


def claim_watch_rules() -> list[Manifest]:
    """Returns the RBAC rules with which a cluster-wide operator watches the claims of all releases in all namespaces.

    The rule does not name the claims. RBAC allows a watch of named objects only if the watch selects a single name, so
    the operator would need one watch for each name of a claim. The operator's own renewals would then arrive in only
    one of the watches, and the operator could not detect that the other watch is broken.
    """
    return [_rule(*_LEASES, _WATCH)]


def crd_rules() -> list[Manifest]:
    """Returns the permission to create the CRD for RouterDeployments and to change the existing CRD.

    The name in the rule also restricts the creation of the CRD, because a server-side apply contains the name.
    """
    rule = _rule("apiextensions.k8s.io", "customresourcedefinitions", ("create", "patch"))
    return [{**rule, "resourceNames": [f"{PLURAL}.{GROUP}"]}]


def viewer_rules() -> list[Manifest]:
    """Returns the permissions of users who may read RouterDeployments."""
    return [_rule(GROUP, PLURAL, READ), _rule(GROUP, f"{PLURAL}/status", ("get",))]


def editor_rules() -> list[Manifest]:
    """Returns the permissions of users who may write RouterDeployments.

    With these permissions, a user can create pods through the operator and thereby use any Secret in the namespace.
    """
    return [
        _rule(GROUP, PLURAL, (*READ, "create", "update", "patch", "delete", "deletecollection")),
        _rule(GROUP, f"{PLURAL}/scale", ("get", "update", "patch")),
        _rule(GROUP, f"{PLURAL}/status", ("get",)),
    ]


def _removal(kind: Kind) -> tuple[str, ...]:
    """Returns the verb `delete`, or no verb for Deployments, because every router needs its Deployment."""
    return () if kind.kind == "Deployment" else ("delete",)


def _holder_rules(*names: str) -> list[Manifest]:
    """Returns the permissions to take and renew the named Leases. RBAC cannot limit POST requests to specific names."""
    return [
        _rule(*_LEASES, ("create",)),
        {**_rule(*_LEASES, ("get", "update")), "resourceNames": list(names)},
    ]


def _rule(group: str, resource: str, verbs: tuple[str, ...]) -> Manifest:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _group(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    return group if slash else ""
