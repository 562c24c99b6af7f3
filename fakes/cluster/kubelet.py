"""A fake kubelet. The fake kubelet makes all new pods ready, except pods with the image `MISSING`."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from .kube_client import Kube

MISSING = "registry.example/missing"
"""The name of an image that the fake kubelet cannot pull."""
_SINCE = "2026-01-01T00:00:00Z"


async def run_pods(kube: Kube) -> None:
    """Writes the status of new pods until the task is cancelled."""
    addresses = (f"10.9.{number // 250}.{number % 250 + 1}" for number in itertools.count())
    while True:
        for pod in await kube.list("Pod"):
            if "containerStatuses" not in pod["status"]:
                await _write(kube, pod, _status(pod, next(addresses)))
        await asyncio.sleep(0.1)


async def _write(kube: Kube, pod: dict[str, Any], status: dict[str, Any]) -> None:
    path = kube.path("Pod", pod["metadata"]["name"], "status")
    body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
    headers = {"Content-Type": "application/merge-patch+json"}
    response = await kube.client.patch(path, json=body, headers=headers)
    # The pod may have been deleted or replaced since the pods were listed.
    assert response.is_success or response.status_code in (404, 409) or "metadata.uid" in response.text, response.text


def _status(pod: dict[str, Any], address: str) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    runs = container["image"] != MISSING
    state: dict[str, Any] = (
        {"running": {"startedAt": _SINCE}}
        if runs
        else {"waiting": {"reason": "ErrImagePull", "message": f"{MISSING}: not found"}}
    )
    fixed = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    ready = "True" if runs else "False"
    return {
        "phase": "Running" if runs else "Pending",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": _SINCE},
            {"type": "ContainersReady", "status": ready, "lastTransitionTime": _SINCE},
            {"type": "Ready", "status": ready, "lastTransitionTime": _SINCE},
        ],
        "containerStatuses": [{**fixed, "ready": runs, "started": runs, "state": state}],
    }
