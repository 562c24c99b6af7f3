"""What the operator may do, and what people may, as rules of Roles and ClusterRoles."""

from __future__ import annotations

from .objects.kinds import CLAIM, KINDS, POD, Kind
from .objects.manifest import Manifest
from .objects.naming import LEASE
from .schema import GROUP, PLURAL

READ = ("get", "list", "watch")
_FOLLOW = ("list", "watch")


def operator_rules() -> list[Manifest]:
    """What the operator needs wherever RouterDeployments may be: it reads no Secret and no pod's log."""
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
    """What it needs besides in its own namespace; who may create a Lease cannot be held to a name."""
    return [
        _rule("coordination.k8s.io", "leases", ("create",)),
        {**_rule("coordination.k8s.io", "leases", ("get", "update")), "resourceNames": [LEASE]},
    ]


def definition_rules() -> list[Manifest]:
    """What changing the definition of RouterDeployments takes, where it is there already."""
    rule = _rule("apiextensions.k8s.io", "customresourcedefinitions", ("patch",))
    return [{**rule, "resourceNames": [f"{PLURAL}.{GROUP}"]}]


def viewer_rules() -> list[Manifest]:
    """For people who may see RouterDeployments."""
    return [_rule(GROUP, PLURAL, READ), _rule(GROUP, f"{PLURAL}/status", ("get",))]


def editor_rules() -> list[Manifest]:
    """For people who may write them, and so create pods and use any Secret of their namespace."""
    return [
        _rule(GROUP, PLURAL, (*READ, "create", "update", "patch", "delete", "deletecollection")),
        _rule(GROUP, f"{PLURAL}/scale", ("get", "update", "patch")),
        _rule(GROUP, f"{PLURAL}/status", ("get",)),
    ]


def _removal(kind: Kind) -> tuple[str, ...]:
    """Every router has a Deployment; whatever else is made may come to be wanted no longer."""
    return () if kind.kind == "Deployment" else ("delete",)


def _rule(group: str, resource: str, verbs: tuple[str, ...]) -> Manifest:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _group(kind: Kind) -> str:
    group, slash, _ = kind.api_version.partition("/")
    return group if slash else ""
