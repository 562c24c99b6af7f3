"""Plans what to do about the children of one RouterDeployment: desired and live objects to actions and problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..objects.kinds import BY_NAME, KINDS
from ..objects.manifest import Manifest, Ref, controller_of, is_terminating, ref_of, uid_of
from ..objects.naming import ROUTER_LABEL
from ..objects.observed import Problem, ProblemReason
from ..objects.refusal import RefusedError
from ..objects.router import Router
from ..schema import GROUP
from . import edit_conflicts, replica_handover, rollout, volume_claims
from .actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from .drift import is_applied, owned_fields

ADOPT = f"{GROUP}/adopt"
_CHANGING = ("resourceVersion", "generation", "managedFields", "uid")
_MISSES = 2
"""After as many creations that met an object which then was not there, the version in the apply is left out."""


@dataclass(frozen=True)
class Owned:
    """A child that was seen under the control of the RouterDeployment with the uid `router`.

    `applied` is a fingerprint of the last apply and of the object that it left. They may differ: an admission webhook
    changes what is applied, and would change it again.
    """

    uid: str
    router: str
    applied: bytes = b""


@dataclass(frozen=True)
class View:
    """What is known about the children of one RouterDeployment: everything that a plan depends on.

    `live` are the objects of the RouterDeployment and `owned` is what earlier passes remember of them. `absent` are the
    kinds that the cluster lacks, and `unwatched` those that the operator cannot watch, with the reason. `refused` is
    the API server's last refusal about an object. `misses` is how often a creation of an object was a conflict with an
    object that was not there a moment later.
    """

    live: Mapping[Ref, Manifest] = field(default_factory=dict)
    owned: Mapping[Ref, Owned] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    unwatched: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Ref, RefusedError] = field(default_factory=dict)
    misses: Mapping[Ref, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Actions, in the order in which they are performed, and what keeps children from being as desired.

    `owning` are the objects that become owned by the RouterDeployment, which must exist then: the garbage collector
    deletes an object whose owner is gone, and the operator would create it again.
    """

    actions: tuple[Action, ...]
    problems: tuple[Problem, ...]
    owning: frozenset[Ref]


def plan(router: Router, desired: tuple[Manifest, ...], view: View) -> Plan:
    """Returns what makes the children as desired: deletions, then the children in order, then the volume claims."""
    refs = {ref_of(manifest) for manifest in desired}
    steps = [
        *_deletions(router, refs, view),
        *(step for manifest in desired for step in _Child(router, manifest, desired, view).steps()),
        *_volume_claims(router, view),
    ]
    actions = tuple(step for step in steps if isinstance(step, Action))
    return Plan(
        actions=actions,
        problems=tuple(step for step in steps if isinstance(step, Problem)),
        owning=frozenset(action.ref for action in actions if _takes_ownership(router, action, view)),
    )


def owned_after(router: Router, applied: Manifest, answer: Manifest) -> Owned:
    """Returns what to remember of a child after an apply, which the API server answered with the object `answer`."""
    return Owned(uid_of(answer), router.uid, _fingerprint(applied, answer))


def owned_at(router: Router, live: Manifest, before: Owned | None) -> Owned | None:
    """Returns what to remember of a live child: what was known, unless it is another object or changed owners."""
    if controller_of(live) != router.uid or _was_owned(router, live, before):
        return before
    return Owned(uid_of(live), router.uid)


def problem_of(ref: Ref, error: RefusedError) -> Problem:
    """Returns the API server's refusal as a problem."""
    reason: ProblemReason = "Refused"
    if error.is_missing_permission:
        reason = "Forbidden"
    elif error.is_transient:
        reason = "Failed"
    return Problem(*ref, reason, error.message)


def _deletions(router: Router, desired: set[Ref], view: View) -> Iterator[Action | Problem]:
    """Yields the deletions of what the spec no longer asks for, in the reverse order of creation."""
    for kind in reversed(KINDS):
        for ref, live in view.live.items():
            if ref[0] != kind.kind or ref in desired or is_terminating(live) or controller_of(live) != router.uid:
                continue
            if error := view.refused.get(ref):
                yield problem_of(ref, error)
            else:
                yield Delete(ref, "no longer in the spec", live)


def _volume_claims(router: Router, view: View) -> Iterator[Action | Problem]:
    for ref, live in view.live.items():
        if (
            ref[0] != "PersistentVolumeClaim"
            or is_terminating(live)
            or not volume_claims.is_from_stateful_set(router, live)
        ):
            continue
        wanted = volume_claims.desired(router, live)
        if error := view.refused.get(ref):
            yield problem_of(ref, error)
        elif not is_applied(wanted, live):
            yield Apply(ref, "owner or size differs", _pinned(wanted, live))


@dataclass(frozen=True)
class _Child:
    """One desired child; `siblings` are all of them."""

    router: Router
    desired: Manifest
    siblings: tuple[Manifest, ...]
    view: View

    @property
    def ref(self) -> Ref:
        return ref_of(self.desired)

    def steps(self) -> Iterator[Action | Problem]:
        """Yields the steps for the child; that its kind cannot be watched is a problem unless it has another one."""
        steps = list(self._steps())
        yield from steps
        reason = self.view.unwatched.get(self.ref[0])
        if reason and not any(isinstance(step, Problem) for step in steps):
            yield Problem(*self.ref, "Forbidden", reason)

    def _steps(self) -> Iterator[Action | Problem]:
        kind, live = BY_NAME[self.desired["kind"]], self.view.live.get(self.ref)
        if kind.kind in self.view.absent:
            words = f"the cluster has no {kind.kind} ({kind.api_version}): install its CRD, or do not ask for one"
            yield Problem(*self.ref, "KindMissing", words)
        elif live is None:
            yield self._creation()
        elif is_terminating(live) and self._is_labelled(live):
            # The informers report when it is gone, which they cannot do without the label.
            return
        elif foreign := self._foreign(live):
            yield Problem(*self.ref, "ForeignObject", foreign)
        else:
            yield from self._changes(self._held_back(live), live)

    def _is_labelled(self, live: Manifest) -> bool:
        return (live["metadata"].get("labels") or {}).get(ROUTER_LABEL) == self.router.name

    def _creation(self) -> Action | Problem:
        if error := self.view.refused.get(self.ref):
            return problem_of(self.ref, error)
        by_version = self.view.misses.get(self.ref, 0) < _MISSES
        return Create(self.ref, "missing", self._held_back(None), by_version)

    def _changes(self, wanted: Manifest, live: Manifest) -> Iterator[Action | Problem]:
        if error := self.view.refused.get(self.ref):
            yield _after_refusal(self.ref, wanted, live, error)
        elif _is_left_by_apply(wanted, live, self.view.owned.get(self.ref)) or is_applied(wanted, live):
            yield from _leftovers(self.ref, wanted, live)
        else:
            if scale := self._handover(live):
                reason = "an autoscaler gets the replicas"
                yield Apply(self.ref, reason, scale, subresource="scale", manager=replica_handover.MANAGER)
            yield Apply(self.ref, "fields differ", _pinned(wanted, live))

    def _foreign(self, live: Manifest) -> str | None:
        """Returns why the live object is not this RouterDeployment's to change; None if it is."""
        controller = controller_of(live)
        if controller == self.router.uid:
            return None
        if controller:
            return "exists and belongs to another object"
        if _was_owned(self.router, live, self.view.owned.get(self.ref)) or _is_offered(live):
            return None
        return "exists, and nothing says that it was created for this RouterDeployment"

    def _held_back(self, live: Manifest | None) -> Manifest:
        is_stateful = self.desired["kind"] == "StatefulSet"
        return rollout.held_back(self.desired, live) if is_stateful else self.desired

    def _handover(self, live: Manifest) -> Manifest | None:
        is_deployment = self.desired["kind"] == "Deployment"
        return replica_handover.scale(self.desired, live, self.siblings) if is_deployment else None


def _after_refusal(ref: Ref, wanted: Manifest, live: Manifest, error: RefusedError) -> Action | Problem:
    """Returns how to get past a refused apply; the refusal as a problem if there is no way."""
    if error.status == 422:
        if ref[0] == "StatefulSet" and error.forbids_stateful_set_change:
            return Replace(ref, "a StatefulSet does not allow this change", live, wanted)
        if operations := edit_conflicts.repairs(wanted, live, [where for _, where, _ in error.causes]):
            return Patch(ref, "an edit conflicts with the desired fields", live, tuple(operations))
    return problem_of(ref, error)


def _leftovers(ref: Ref, wanted: Manifest, live: Manifest) -> Iterator[Action]:
    """Yields what removes the remains of an edit, or of its repair, from an object whose own fields are as desired."""
    if ref[0] == "StatefulSet" and (operations := edit_conflicts.overlooked(wanted, live)):
        yield Patch(ref, "an edit conflicts with the desired fields", live, tuple(operations))
    elif edit_conflicts.disowning(live):
        yield Disown(ref, "an edit was repaired", live)


def _takes_ownership(router: Router, action: Action, view: View) -> bool:
    if isinstance(action, Create):
        return True
    live = view.live.get(action.ref)
    is_child = isinstance(action, Apply) and action.ref[0] != "PersistentVolumeClaim"
    return is_child and live is not None and controller_of(live) != router.uid


def _is_left_by_apply(wanted: Manifest, live: Manifest, owned: Owned | None) -> bool:
    # Without an apply by this process there is nothing to compare the fingerprint with.
    return owned is not None and bool(owned.applied) and owned.applied == _fingerprint(wanted, live)


def _was_owned(router: Router, live: Manifest, owned: Owned | None) -> bool:
    return owned is not None and (owned.uid, owned.router) == (uid_of(live), router.uid)


def _is_offered(live: Manifest) -> bool:
    return (live["metadata"].get("annotations") or {}).get(ADOPT) == "true"


def _pinned(wanted: Manifest, live: Manifest) -> Manifest:
    """Returns the manifest for the very object that was seen: for another of its name the API server answers 409."""
    return {**wanted, "metadata": {**wanted["metadata"], "uid": uid_of(live)}}


def _fingerprint(wanted: Manifest, live: Manifest) -> bytes:
    """Returns a hash of an apply and of the object after it, without what every write changes."""
    after = {**_without(live, *_CHANGING), "status": None}
    text = json.dumps([_without(wanted, *_CHANGING), after, owned_fields(live)], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _without(manifest: Manifest, *fields: str) -> Manifest:
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in fields}
    return {**manifest, "metadata": metadata}
