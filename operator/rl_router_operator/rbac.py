"""The permissions of the operator and of users, as rules of Roles and ClusterRoles."""

from __future__ import annotations

from .objects.kinds import CLAIM, KINDS, POD, Kind
from .objects.manifest import Manifest
from .objects.naming import LEASE
from .schema import GROUP, PLURAL

READ = ("get", "list", "watch")
_FOLLOW = ("list", "watch")


def operator_rules() -> list[Manifest]:
    """Returns the operator's permissions wherever RouterDeployments may be; it reads no Secret and no pod log."""
    return [
        _rule(GROUP, PLURAL, READ),
        _rule(GROUP, f"{PLURAL}/status", ("patch",)),
        *(_rule(_group(kind), kind.plural, (*READ, "create", "patch", *_removal(kind))) for kind in KINDS),
        # For the hand-over of the replicas to an autoscaler.
        _rule("apps", "deployments/scale", ("patch",)),
        _rule(_group(POD), POD.plural, _FOLLOW),
        _rule(_group(CLAIM), CLAIM.plural, (*_FOLLOW, "patch")),
        _rule("", "events", _FOLLOW),
        _rule("events.k8s.io", "events", ("create",)),
    ]


def lease_rules() -> list[Manifest]:
    """Returns the permissions in the operator's own namespace; creation of a Lease cannot be limited to a name."""
    return [
        _rule("coordination.k8s.io", "leases", ("create",)),
        {**_rule("coordination.k8s.io", "leases", ("get", "update")), "resourceNames": [LEASE]},
    ]


def definition_rules() -> list[Manifest]:
    """Returns the permissions to change the CRD of RouterDeployments, if it is installed."""
    rule = _rule("apiextensions.k8s.io", "customresourcedefinitions", ("patch",))
    return [{**rule, "resourceNames": [f"{PLURAL}.{GROUP}"]}]


def viewer_rules() -> list[Manifest]:
    """Returns the permissions of users who may read RouterDeployments."""
    return [_rule(GROUP, PLURAL, READ), _rule(GROUP, f"{PLURAL}/status", ("get",))]


def editor_rules() -> list[Manifest]:
    """Returns the permissions of users who may write them, and so create pods and use any Secret of the namespace."""
    return [
        _rule(GROUP, PLURAL, (*READ, "create", "update", "patch", "delete", "deletecollection")),
        _rule(GROUP, f"{PLURAL}/scale", ("get", "update", "patch")),
        _rule(GROUP, f"{PLURAL}/status", ("get",)),
    ]


def _removal(kind: Kind) -> tuple[str, ...]:
    """Every router has a Deployment; a child of any other kind may become superfluous."""
    return () if kind.kind == "Deployment" else ("delete",)


def _rule(group: str, resource: str, verbs: tuple[str, ...]) -> Manifest:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _group(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    return group if slash else ""
