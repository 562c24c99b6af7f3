"""Plans the actions that bring the children and the PVCs of one RouterDeployment to their desired state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..objects import pvc
from ..objects.kinds import BY_NAME, KINDS
from ..objects.manifest import Manifest, Ref, controller_of, is_terminating, ref_of, uid_of
from ..objects.naming import ROUTER_LABEL
from ..objects.observed import ChildError, ChildErrorReason
from ..objects.refusal import RefusedError
from ..objects.routerdeployment import RouterDeployment
from ..schema import GROUP
from . import edit_conflicts, replica_handover, rollout, volume_claims
from .actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from .drift import is_applied, owned_fields
from .dropped_fields import dropped_fields

ADOPT = f"{GROUP}/adopt"
_VOLATILE = ("resourceVersion", "generation", "managedFields", "uid")
_MAXIMUM_PATHS = 5
"""The maximum number of dropped fields that an error message names."""
_MAXIMUM_CREATION_CONFLICTS = 2
"""The number of conflicts after which the operator creates a missing object by an apply without resourceVersion."""


@dataclass(frozen=True)
class Owned:
    """A record that the RouterDeployment with the uid `router` controls or controlled the child with the uid `uid`.

    The attribute `applied` is a hash of the last applied manifest and of the object that resulted from the apply, and
    is empty until this process applies the object. An admission webhook may change an object that the operator applies.
    If the hash of the manifest and the live object is still the same, another apply would change nothing.
    """

    uid: str
    router: str
    applied: bytes = b""


@dataclass(frozen=True)
class View:
    """The input of a plan: the known state of the children and PVCs of one RouterDeployment.

    The attribute `live` contains the live objects that belong to the RouterDeployment or have the name of a child. The
    attribute `owned` contains the records about the objects that the RouterDeployment controls or has controlled. The
    attribute `absent` contains the kinds that the cluster does not have. The attribute `unwatched` contains the kinds
    that the operator cannot watch, each with the reason. The attribute `refused` maps an object to the error that
    prevents actions on the object. The attribute `creation_conflicts` counts for each object how many creations failed
    with a conflict although a later read found no object with the name.
    """

    live: Mapping[Ref, Manifest] = field(default_factory=dict)
    owned: Mapping[Ref, Owned] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    unwatched: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Ref, RefusedError] = field(default_factory=dict)
    creation_conflicts: Mapping[Ref, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The planned actions in their order of execution, and the errors about children and PVCs.

    The attribute `owning` contains the children that get the RouterDeployment as their owner. If `owning` is not empty,
    the caller must check before the actions that the RouterDeployment still exists, because the garbage collector
    deletes every object whose owner does not exist.
    """

    actions: tuple[Action, ...]
    errors: tuple[ChildError, ...]
    owning: frozenset[Ref]


def plan(router: RouterDeployment, desired: tuple[Manifest, ...], view: View) -> Plan:
    """Returns the plan: first deletions, then actions on the desired children, and then actions on PVCs."""
    refs = {ref_of(manifest) for manifest in desired}
    steps = [
        *_deletions(router, refs, view),
        *(step for manifest in desired for step in _Child(router, manifest, desired, view).steps()),
        *_volume_claims(router, view),
    ]
    actions = tuple(step for step in steps if isinstance(step, Action))
    return Plan(
        actions=actions,
        errors=tuple(step for step in steps if isinstance(step, ChildError)),
        owning=frozenset(action.ref for action in actions if _takes_ownership(router, action, view)),
    )


def owned_after(router: RouterDeployment, applied: Manifest, result: Manifest) -> Owned:
    """Returns the record of a child after an apply. The argument `result` is the object that the API server
    returned."""
    return Owned(uid_of(result), router.uid, _fingerprint(applied, result))


def owned_at(router: RouterDeployment, live: Manifest, previous: Owned | None) -> Owned | None:
    """Returns the record of a child, or None if no record exists.

    Returns a new record if the RouterDeployment controls `live` and `previous` does not record this control, and
    otherwise returns `previous`.
    """
    if controller_of(live) != router.uid or _was_owned(router, live, previous):
        return previous
    return Owned(uid_of(live), router.uid)


def error_of(ref: Ref, error: RefusedError) -> ChildError:
    """Returns the ChildError for a rejection by the API server."""
    reason: ChildErrorReason = "Refused"
    if error.is_missing_permission:
        reason = "Forbidden"
    elif error.is_conflict:
        # Another client keeps changing the object. The API server's message names the conflict.
        reason = "Failed"
    elif error.is_immutable:
        # The API server appends a comparison of the whole objects, in which each field has a line.
        return ChildError(*ref, "Immutable", error.message.partition("\n")[0])
    elif error.names_unknown_field:
        reason = "FieldUnsupported"
    elif error.is_transient:
        reason = "Failed"
    return ChildError(*ref, reason, error.message)


def _deletions(router: RouterDeployment, desired: set[Ref], view: View) -> Iterator[Action | ChildError]:
    """Yields the deletions of unneeded children in the reverse order of creation, and errors of rejected deletions."""
    for kind in reversed(KINDS):
        for ref, live in view.live.items():
            if ref[0] != kind.kind or ref in desired or is_terminating(live) or controller_of(live) != router.uid:
                continue
            if error := view.refused.get(ref):
                yield error_of(ref, error)
            else:
                yield Delete(ref, "the spec of the RouterDeployment no longer needs the object", live)


def _volume_claims(router: RouterDeployment, view: View) -> Iterator[Action | ChildError]:
    for ref, live in view.live.items():
        if ref[0] != "PersistentVolumeClaim" or is_terminating(live) or not pvc.is_of_model(router.name, live):
            continue
        desired = volume_claims.desired(router, live)
        if error := view.refused.get(ref):
            yield error_of(ref, error)
        elif not is_applied(desired, live):
            yield Apply(
                ref, "the owner or the size of the PersistentVolumeClaim differs from the spec", _pinned(desired, live)
            )


@dataclass(frozen=True)
class _Child:
    """A desired child of a RouterDeployment, with the methods that plan the actions on the child.

    The attribute `siblings` contains all desired children of the RouterDeployment, including this child.
    """

    router: RouterDeployment
    desired: Manifest
    siblings: tuple[Manifest, ...]
    view: View

    @property
    def ref(self) -> Ref:
        return ref_of(self.desired)

    def steps(self) -> Iterator[Action | ChildError]:
        """Yields the actions on the child and the errors about the child.

        If the operator cannot watch the kind of the child and no other error occurs, yields an error about the kind.
        """
        steps = list(self._steps())
        yield from steps
        reason = self.view.unwatched.get(self.ref[0])
        if reason and not any(isinstance(step, ChildError) for step in steps):
            yield ChildError(*self.ref, "Forbidden", reason)

    def _steps(self) -> Iterator[Action | ChildError]:
        kind, live = BY_NAME[self.desired["kind"]], self.view.live.get(self.ref)
        if kind.kind in self.view.absent:
            missing = f"the cluster does not have the kind {kind.kind} ({kind.api_version})"
            message = f"{missing}. Install the CRD of {kind.kind}, or disable {kind.kind} in the spec"
            yield ChildError(*self.ref, "KindMissing", message)
        elif live is None:
            yield self._creation()
        elif is_terminating(live) and self._is_labelled(live):
            # The informer, which watches only objects with the label, reports when the object is gone.
            return
        elif foreign := self._foreign(live):
            yield ChildError(*self.ref, "ForeignObject", foreign)
        else:
            yield from self._changes(self._held_back(live), live)

    def _is_labelled(self, live: Manifest) -> bool:
        return (live["metadata"].get("labels") or {}).get(ROUTER_LABEL) == self.router.name

    def _creation(self) -> Action | ChildError:
        if error := self.view.refused.get(self.ref):
            return error_of(self.ref, error)
        by_version = self.view.creation_conflicts.get(self.ref, 0) < _MAXIMUM_CREATION_CONFLICTS
        return Create(self.ref, "the object did not exist", self._held_back(None), by_version)

    def _changes(self, desired: Manifest, live: Manifest) -> Iterator[Action | ChildError]:
        if error := self.view.refused.get(self.ref):
            yield _after_refusal(self.ref, desired, live, error)
        elif _is_left_by_apply(desired, live, self.view.owned.get(self.ref)) or is_applied(desired, live):
            yield from _leftovers(self.ref, desired, live)
            if paths := dropped_fields(desired, live):
                message = f"the API server or an admission webhook dropped {', '.join(paths[:_MAXIMUM_PATHS])}"
                yield ChildError(*self.ref, "FieldUnsupported", message)
        else:
            if scale := self._handover(live):
                reason = "an autoscaler takes over the number of replicas"
                yield Apply(self.ref, reason, scale, subresource="scale", manager=replica_handover.MANAGER)
            yield Apply(self.ref, "the fields of the object differ from the desired fields", _pinned(desired, live))

    def _foreign(self, live: Manifest) -> str | None:
        """Returns the reason why the operator must not change the object `live`, or None if the operator may change the
        object."""
        controller = controller_of(live)
        if controller == self.router.uid:
            return None
        if controller:
            return "an object with the name of the child exists, but another controller owns the object"
        if _was_owned(self.router, live, self.view.owned.get(self.ref)) or _is_offered(live):
            return None
        return "an object with the name of the child exists, but no controller owns the object"

    def _held_back(self, live: Manifest | None) -> Manifest:
        is_stateful = self.desired["kind"] == "StatefulSet"
        return rollout.held_back(self.desired, live) if is_stateful else self.desired

    def _handover(self, live: Manifest) -> Manifest | None:
        is_deployment = self.desired["kind"] == "Deployment"
        return replica_handover.scale(self.desired, live, self.siblings) if is_deployment else None


def _after_refusal(ref: Ref, desired: Manifest, live: Manifest, error: RefusedError) -> Action | ChildError:
    """Returns an action after which a rejected apply can succeed, or the rejection as an error if no action helps."""
    if error.status == 422:
        if ref[0] == "StatefulSet" and error.forbids_stateful_set_change:
            return Replace(ref, "the API server does not allow the desired change to the StatefulSet", live, desired)
        if operations := edit_conflicts.repairs(desired, live, [field for _, field, _ in error.causes]):
            return Patch(ref, "a manual edit conflicts with the desired fields", live, tuple(operations))
    return error_of(ref, error)


def _leftovers(ref: Ref, desired: Manifest, live: Manifest) -> Iterator[Action]:
    """Yields the actions that clean up an up-to-date object after a manual edit or after the repair of the edit."""
    if ref[0] == "StatefulSet" and (operations := edit_conflicts.overlooked(desired, live)):
        yield Patch(ref, "a manual edit conflicts with the desired fields", live, tuple(operations))
    elif edit_conflicts.disowning(live):
        yield Disown(ref, "a manual edit of the object was repaired", live)


def _takes_ownership(router: RouterDeployment, action: Action, view: View) -> bool:
    if isinstance(action, Create):
        return True
    live = view.live.get(action.ref)
    is_child = isinstance(action, Apply) and action.ref[0] != "PersistentVolumeClaim"
    return is_child and live is not None and controller_of(live) != router.uid


def _is_left_by_apply(desired: Manifest, live: Manifest, owned: Owned | None) -> bool:
    # The fingerprint is empty if this process has not applied the object yet.
    return owned is not None and bool(owned.applied) and owned.applied == _fingerprint(desired, live)


def _was_owned(router: RouterDeployment, live: Manifest, owned: Owned | None) -> bool:
    return owned is not None and (owned.uid, owned.router) == (uid_of(live), router.uid)


def _is_offered(live: Manifest) -> bool:
    return (live["metadata"].get("annotations") or {}).get(ADOPT) == "true"


def _pinned(desired: Manifest, live: Manifest) -> Manifest:
    """Returns the manifest `desired` with the uid of the object `live`.

    If the object was replaced, the API server rejects an apply of the returned manifest.
    """
    return {**desired, "metadata": {**desired["metadata"], "uid": uid_of(live)}}


def _fingerprint(desired: Manifest, live: Manifest) -> bytes:
    """Returns a hash of an applied manifest and the resulting object, without volatile fields."""
    after = {**_without(live, *_VOLATILE), "status": None}
    text = json.dumps([_without(desired, *_VOLATILE), after, owned_fields(live)], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _without(manifest: Manifest, *fields: str) -> Manifest:
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in fields}
    return {**manifest, "metadata": metadata}
