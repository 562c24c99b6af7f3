"""Why a pod's containers are not ready, from what the kubelet reports about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..objects.manifest import Manifest, condition
from ..objects.naming import Component
from . import endings
from .reasons import Reason
from .warnings import time_of, warnings
from .words import quote

_FORGIVEN = timedelta(minutes=10)
"""How long a container must run until the kubelet forgets its crashes."""
_FIRST_MOMENTS = timedelta(seconds=60)
"""What a container of the API may take to its first readiness."""
_WAITING = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "ImageInspectError": Reason.IMAGE_PULL_FAILED,
    "RegistryUnavailable": Reason.IMAGE_PULL_FAILED,
    "SignatureValidationFailed": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG_ERROR,
    "CreateContainerError": Reason.CONTAINER_NOT_STARTED,
    "RunContainerError": Reason.CONTAINER_NOT_STARTED,
    "PreCreateHookError": Reason.CONTAINER_NOT_STARTED,
    "PreStartHookError": Reason.CONTAINER_NOT_STARTED,
    "PostStartHookError": Reason.CONTAINER_NOT_STARTED,
}
_BACK_OFF = 'Back-off pulling image "'


@dataclass(frozen=True)
class Setting:
    """What is to be known beside the pod: the warnings, the time, whether it is the router model's, and how many
    seconds its loading may take."""

    events: tuple[Manifest, ...]
    now: datetime
    model: bool
    startup_timeout: int


def trouble(pod: Manifest, setting: Setting) -> tuple[Reason, str] | None:
    """The reason and the words of the first container that is not as it should be; None where none is known."""
    for status in _statuses(pod.get("status", {})):
        if found := _of(pod, status, setting):
            reason, words = found
            return reason, f"container {status['name']}: {words}" if words else f"container {status['name']}"
    return None


def _statuses(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Containers that are not ready, those that go before the others first."""
    for each in status.get("initContainerStatuses", ()):
        if not (each.get("ready") or each.get("started")):
            yield each
    for each in status.get("containerStatuses", ()):
        if not each.get("ready"):
            yield each


def _of(pod: Manifest, status: Mapping[str, Any], setting: Setting) -> tuple[Reason, str] | None:
    state = status.get("state") or {}
    if "waiting" in state and (reason := _WAITING.get(state["waiting"].get("reason", ""))):
        return reason, _words(pod, state["waiting"], setting)
    if ended := _current_ending(status, setting):
        return _after_ending(ended, setting, _codes(status, setting))
    if "running" in state:
        return _running(pod, status, setting)
    return None


def _current_ending(status: Mapping[str, Any], setting: Setting) -> Mapping[str, Any] | None:
    """How it ended last, as long as that is no history: between two crashes it looks as if it were starting."""
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    running = state.get("running")
    if running and status.get("started") and setting.now - time_of(running["startedAt"]) > _FORGIVEN:
        return None
    ended: Mapping[str, Any] | None = state.get("terminated") or last
    return ended


def _codes(status: Mapping[str, Any], setting: Setting) -> Mapping[int, Reason]:
    """The exit codes of our own program; a sidecar may end with the same numbers for other reasons."""
    ours: Component = "model" if setting.model else "api"
    return endings.CODES[ours] if status["name"] == ours else {}


def _after_ending(ended: Mapping[str, Any], setting: Setting, codes: Mapping[int, Reason]) -> tuple[Reason, str]:
    reason, words = endings.why(ended, model=setting.model, codes=codes)
    if reason is Reason.CRASH_LOOPING and setting.model and _was_killed_loading(ended, setting.startup_timeout):
        return Reason.STARTUP_TIMEOUT, f"not loaded after {setting.startup_timeout} s; its last line: {words}"
    return reason, words


def _was_killed_loading(ended: Mapping[str, Any], timeout: int) -> bool:
    """A container that the kubelet stops ends by a signal, and never before its time."""
    if ended.get("exitCode") not in (137, 143) or not (ended.get("startedAt") and ended.get("finishedAt")):
        return False
    return time_of(ended["finishedAt"]) - time_of(ended["startedAt"]) >= timedelta(seconds=timeout)


def _running(pod: Manifest, status: Mapping[str, Any], setting: Setting) -> tuple[Reason, str]:
    if status.get("started"):
        if _is_starting(pod, status, setting):
            reason = Reason.LOADING if setting.model else Reason.STARTING
            return reason, "runs, and its readiness probe has not passed yet"
        return Reason.NOT_READY, "runs, but its readiness probe does not pass"
    allowed = f" (up to {setting.startup_timeout} s are allowed)" if setting.model else ""
    return Reason.LOADING, f"runs, and its startup probe has not passed yet{allowed}"


def _is_starting(pod: Manifest, status: Mapping[str, Any], setting: Setting) -> bool:
    """Whether a container was started for the first time, and need not be ready yet."""
    started, unready = time_of(status["state"]["running"]["startedAt"]), condition(pod, "Ready")
    if status.get("lastState") or not unready or time_of(unready["lastTransitionTime"]) > started:
        return False
    allowed = timedelta(seconds=setting.startup_timeout) if setting.model else _FIRST_MOMENTS
    return setting.now - started <= allowed


def _words(pod: Manifest, waiting: Mapping[str, Any], setting: Setting) -> str:
    """The kubelet's words, the same ones while it tries and while it waits to try again."""
    said = waiting.get("message") or waiting["reason"]
    if said.startswith(_BACK_OFF):
        image, _, cause = said.removeprefix(_BACK_OFF).partition('"')
        said = cause.removeprefix(": ErrImagePull: ") or _told_by_events(pod, image, setting) or said
    return quote(
        said.removeprefix("rpc error: code = NotFound desc = ").removeprefix("rpc error: code = Unknown desc = ")
    )


def _told_by_events(pod: Manifest, image: str, setting: Setting) -> str:
    """Kubernetes before 1.32 says why in an Event alone."""
    prefix = f'Failed to pull image "{image}": '
    told = [each for each in warnings(setting.events, "Pod", pod, "Failed") if each.startswith(prefix)]
    return told[0].removeprefix(prefix) if told else ""
