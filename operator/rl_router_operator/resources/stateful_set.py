"""Builds the StatefulSet of the router model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.pvc import CLAIM
from ..objects.routerdeployment import RouterDeployment
from ..schema import GROUP, Model
from . import engines, pods, weights
from .defaults import Defaults
from .objects import child, without_empty

MODEL_HASH = f"{GROUP}/model-hash"
"""The name of the annotation that contains a hash of `spec.model`.

If the pod template changes but the hash does not, the operator delays the rollout until the hash changes or the
StatefulSet has no replicas.
"""
TEMPLATE_HASH = f"{GROUP}/chat-template-hash"
_GRACE = 60
"""The seconds that a model pod may take to stop, including the preStop hook and the time for in-flight requests."""
_STARTUP_PERIOD = 2
"""The seconds between two startup probes of a model pod."""


def build(router: RouterDeployment, defaults: Defaults) -> Iterator[Manifest]:
    """Yields the StatefulSet of the router model. Yields nothing if the router model is external."""
    model = router.spec.model
    if model.external:
        return
    yield child(
        router,
        "StatefulSet",
        "model",
        annotations={MODEL_HASH: model_hash(model)},
        spec={
            "replicas": 0 if router.spec.suspend else model.replicas,
            "serviceName": naming.headless(router.name),
            # With `Parallel`, a corrected template also replaces a pod that never became ready.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": naming.selector(router.name, "model")},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **_claims(router),
            "template": _template(router, defaults),
        },
    )


def model_hash(model: Model) -> str:
    """Returns a hash of the fields of `spec.model` that differ from their defaults."""
    fields = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return _hash(json.dumps(fields, sort_keys=True, separators=(",", ":")))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _claims(router: RouterDeployment) -> dict[str, Any]:
    storage = router.spec.model.storage
    if not storage:
        return {}
    claim = {
        "accessModes": list(storage.access_modes),
        "resources": {"requests": {"storage": str(storage.size)}},
        "storageClassName": storage.class_name,
    }
    return {
        # The PVCs with the weights stay if a user or the operator deletes the StatefulSet.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "volumeClaimTemplates": [
            {
                "metadata": {"name": CLAIM, "labels": naming.labels(router.name, "model")},
                "spec": without_empty(claim),
            }
        ],
    }


def _template(router: RouterDeployment, defaults: Defaults) -> dict[str, Any]:
    model = router.spec.model
    spec = pods.pod_spec(router, "model", model, defaults, _container(model, defaults), _volumes(router), _GRACE)
    return pods.template(router, "model", model, spec, _annotations(model))


def _annotations(model: Model) -> dict[str, str]:
    """Returns an annotation with a hash of the chat template's text.

    Returns an empty mapping if the spec does not contain the text of a chat template. A change of the hash restarts the
    model pods, because an engine reads the chat template only at startup.
    """
    text = model.chat_template.text if model.chat_template else None
    return {TEMPLATE_HASH: _hash(text)} if text else {}


def _container(model: Model, defaults: Defaults) -> dict[str, Any]:
    return pods.container(
        "model",
        engines.image(model, defaults),
        model,
        defaults,
        **engines.command(model, defaults),
        env=_env(model, defaults),
        mounts=_mounts(model),
        resources=_resources(model),
        ports=[pods.port("http", naming.MODEL_PORT)],
        **_probes(model),
    )


def _probes(model: Model) -> dict[str, Any]:
    """Returns the probes of the model container.

    Kubernetes starts the readiness and liveness probes after the startup probe succeeds.
    """
    return {
        "startupProbe": pods.probe(
            "/health",
            "http",
            periodSeconds=_STARTUP_PERIOD,
            timeoutSeconds=5,
            failureThreshold=-(-model.startup_timeout // _STARTUP_PERIOD),
        ),
        "readinessProbe": pods.probe("/health", "http", periodSeconds=5, timeoutSeconds=5, failureThreshold=3),
        "livenessProbe": pods.probe("/health", "http", periodSeconds=10, timeoutSeconds=10, failureThreshold=6),
    }


def _env(model: Model, defaults: Defaults) -> list[dict[str, Any]]:
    values = {"HOME": pods.HOME, **pods.proxy_variables(defaults), **engines.variables(model)}
    variables = pods.variables(values)
    if token := model.hf_token_secret_ref:
        variables.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": token.name, "key": token.key}}})
    return variables


def _resources(model: Model) -> dict[str, Any]:
    if not model.source:
        return pods.requests_and_limits(model.resources, cpu="250m", memory="512Mi")
    resources = pods.requests_and_limits(model.resources)
    if accelerator := model.accelerator:
        resources["limits"] = {**resources.get("limits", {}), accelerator.resource: str(accelerator.count)}
    return resources


def _volumes(router: RouterDeployment) -> list[dict[str, Any]]:
    model = router.spec.model
    shared_memory = f"{engines.SHARED_MEMORY_GIB * engines.ranks(model)}Gi"
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory}}]
    source = weights.read(model.source)
    if source and source.claim:
        volumes.append({"name": "model", "persistentVolumeClaim": {"claimName": source.claim, "readOnly": True}})
    if model.chat_template:
        volumes.append({"name": "chat-template", "configMap": _chat_template(router)})
    return volumes


def _chat_template(router: RouterDeployment) -> dict[str, Any]:
    file = engines.CHAT_TEMPLATE.rpartition("/")[2]
    template = router.spec.model.chat_template
    ref = template.config_map_key_ref if template else None
    name, key = (ref.name, ref.key) if ref else (naming.child(router.name, "model"), file)
    return {"name": name, "items": [{"key": key, "path": file}]}


def _mounts(model: Model) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - in the pod
    source = weights.read(model.source)
    if model.storage:
        mounts.append({"name": CLAIM, "mountPath": engines.STORAGE_FOLDER})
    if source and source.claim:
        mounts.append({"name": "model", "mountPath": weights.CLAIM_FOLDER, "readOnly": True})
    if model.chat_template:
        folder = engines.CHAT_TEMPLATE.rpartition("/")[0]
        mounts.append({"name": "chat-template", "mountPath": folder, "readOnly": True})
    return mounts
