"""What a node would do, pretended: pods that controllers made run, unless their image cannot be pulled."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from harness import Kube

MISSING = "registry.example/missing"
_SINCE = "2026-01-01T00:00:00Z"


async def run_pods(kube: Kube) -> None:
    """Writes the pods' statuses until cancelled."""
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
    answer = await kube.client.patch(path, json=body, headers=headers)
    # It may have been deleted meanwhile, and another made in its place.
    assert answer.is_success or answer.status_code in (404, 409) or "metadata.uid" in answer.text, answer.text


def _status(pod: dict[str, Any], address: str) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    runs = container["image"] != MISSING
    state: dict[str, Any] = (
        {"running": {"startedAt": _SINCE}}
        if runs
        else {"waiting": {"reason": "ErrImagePull", "message": f"{MISSING}: not found"}}
    )
    told = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    truth = "True" if runs else "False"
    return {
        "phase": "Running" if runs else "Pending",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": _SINCE},
            {"type": "ContainersReady", "status": truth, "lastTransitionTime": _SINCE},
            {"type": "Ready", "status": truth, "lastTransitionTime": _SINCE},
        ],
        "containerStatuses": [{**told, "ready": runs, "started": runs, "state": state}],
    }
