"""Determines why a pod's containers are not ready, from the status that the kubelet reports and from Events."""

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

_BACK_OFF_RESET = timedelta(minutes=10)
"""The time that a container must run before the kubelet resets the container's crash back-off."""
_API_STARTUP = timedelta(seconds=60)
"""The maximum time for which the operator reports an unready API container as starting."""
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
_PULL_BACK_OFF = 'Back-off pulling image "'


@dataclass(frozen=True)
class Context:
    """The data that the operator uses, in addition to a pod, to determine why the pod is not ready."""

    events: tuple[Manifest, ...]
    now: datetime
    model: bool
    """Whether the pod belongs to the router model."""
    startup_timeout: int
    """The maximum time for downloading and loading the router model, in seconds."""


def failure(pod: Manifest, context: Context) -> tuple[Reason, str] | None:
    """Returns the reason why a container of the pod is not ready, and a message, or None if no reason is known."""
    for status in _unready_statuses(pod.get("status", {})):
        if match := _of(pod, status, context):
            reason, message = match
            return reason, f"container {status['name']}: {message}" if message else f"container {status['name']}"
    return None


def _unready_statuses(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yields the statuses of init containers that are neither ready nor started, and then of unready containers."""
    for container in status.get("initContainerStatuses", ()):
        if not (container.get("ready") or container.get("started")):
            yield container
    for container in status.get("containerStatuses", ()):
        if not container.get("ready"):
            yield container


def _of(pod: Manifest, status: Mapping[str, Any], context: Context) -> tuple[Reason, str] | None:
    state = status.get("state") or {}
    if "waiting" in state and (reason := _WAITING.get(state["waiting"].get("reason", ""))):
        return reason, _waiting_message(pod, state["waiting"], context)
    if ended := _current_ending(status, context):
        return _after_ending(ended, context, _codes(status, context))
    if "running" in state:
        return _running(pod, status, context)
    return None


def _current_ending(status: Mapping[str, Any], context: Context) -> Mapping[str, Any] | None:
    """Returns the last `terminated` state of a container, or None if the container never ended or runs stably again.

    After a restart, the current state of a container is the same as after the first start. Therefore the function
    returns the last `terminated` state until the kubelet resets the container's crash back-off.
    """
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    running = state.get("running")
    if running and status.get("started") and context.now - time_of(running["startedAt"]) > _BACK_OFF_RESET:
        return None
    ended: Mapping[str, Any] | None = state.get("terminated") or last
    return ended


def _codes(status: Mapping[str, Any], context: Context) -> Mapping[int, Reason]:
    """Returns the mapping from exit codes to reasons for the container of the router model or the API. The mapping is
    empty for every other container."""
    component: Component = "model" if context.model else "api"
    return endings.CODES[component] if status["name"] == component else {}


def _after_ending(ended: Mapping[str, Any], context: Context, codes: Mapping[int, Reason]) -> tuple[Reason, str]:
    reason, message = endings.why(ended, model=context.model, codes=codes)
    if reason is Reason.CRASH_LOOPING and context.model and _was_killed_loading(ended, context.startup_timeout):
        cause = f"the model did not load within {context.startup_timeout} s"
        return Reason.STARTUP_TIMEOUT, f"{cause}. The container ended with {message}"
    return reason, message


def _was_killed_loading(ended: Mapping[str, Any], timeout: int) -> bool:
    """Returns whether a container was killed after the container had run for at least `timeout` seconds."""
    if ended.get("exitCode") not in (137, 143) or not (ended.get("startedAt") and ended.get("finishedAt")):
        return False
    return time_of(ended["finishedAt"]) - time_of(ended["startedAt"]) >= timedelta(seconds=timeout)


def _running(pod: Manifest, status: Mapping[str, Any], context: Context) -> tuple[Reason, str]:
    if status.get("started"):
        if _is_starting(pod, status, context):
            reason = Reason.LOADING if context.model else Reason.STARTING
            return reason, "the container runs, but the readiness probe has not passed yet"
        return Reason.NOT_READY, "the container runs, but the readiness probe fails"
    limit = f" (the limit is {context.startup_timeout} s)" if context.model else ""
    return Reason.LOADING, f"the container runs, but the startup probe has not passed yet{limit}"


def _is_starting(pod: Manifest, status: Mapping[str, Any], context: Context) -> bool:
    """Returns whether the container runs for the first time, was never ready, and still has time to become ready."""
    started, unready = time_of(status["state"]["running"]["startedAt"]), condition(pod, "Ready")
    if status.get("lastState") or not unready or time_of(unready["lastTransitionTime"]) > started:
        return False
    limit = timedelta(seconds=context.startup_timeout) if context.model else _API_STARTUP
    return context.now - started <= limit


def _waiting_message(pod: Manifest, waiting: Mapping[str, Any], context: Context) -> str:
    """Returns the kubelet's message about a waiting container, or the reason if there is no message.

    If an image pull fails, the function tries to return the same message for the state ErrImagePull and for the later
    state ImagePullBackOff, so that the status does not keep changing.
    """
    message = waiting.get("message") or waiting["reason"]
    if message.startswith(_PULL_BACK_OFF):
        image, _, cause = message.removeprefix(_PULL_BACK_OFF).partition('"')
        message = cause.removeprefix(": ErrImagePull: ") or _pull_error(pod, image, context) or message
    return quote(
        message.removeprefix("rpc error: code = NotFound desc = ").removeprefix("rpc error: code = Unknown desc = ")
    )


def _pull_error(pod: Manifest, image: str, context: Context) -> str:
    """Returns the error in the pod's Events about the failed pull of `image`, or an empty text if no such Event exists.

    In the state ImagePullBackOff, Kubernetes before version 1.32 reports the error only in Events.
    """
    prefix = f'Failed to pull image "{image}": '
    errors = [text for text in warnings(context.events, "Pod", pod, "Failed") if text.startswith(prefix)]
    return errors[0].removeprefix(prefix) if errors else ""
