"""How every reason comes about on a real API server, and how it is mended again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import faults
from accepted import open_definition
from admission import DEFINITIONS
from harness import eventually
from prepared import grant
from rl_router_operator import rbac
from rl_router_operator.objects.kinds import BY_NAME
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.observed import Health
from rl_router_operator.status.reasons import Reason
from stage import Stage
from world import TARGETS, Pod, answered, api_pod, condition, crashed, event, health, healthy, running, waiting

CLAIM = "weights-demo-model-0"
INGRESS = {"auth": {"anonymous": True}, "ingress": {"host": "router.example.com"}}
POLICY = "/apis/admissionregistration.k8s.io/v1"

Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """How a reason comes about, the condition that then has it, words of its message, and how it is mended."""

    happens: Act
    type: str
    status: str
    words: str
    mended: Act = Stage.serve
    spec: dict[str, Any] = field(default_factory=dict)


def model(status: str = "False", **case: Any) -> dict[str, Any]:
    """The rest of a Case that ModelReady tells of."""
    return {"type": "ModelReady", "status": status, **case}


def pod(shown: Pod, words: str, *warnings: Manifest, **case: Any) -> Case:
    """A router model of one pod, and warnings about it."""

    async def happens(stage: Stage) -> None:
        await stage.put(shown)
        for each in warnings:
            await stage.warn(each)

    return Case(happens, words=words, **model(**case))


def ended(words: str, *args: Any, **times: float) -> Case:
    """A router model that ended with these words and waits to be started again."""
    return pod(Pod(**crashed(words, *args, **times)), words)


def answer(said: Health, type_: str, status: str, words: str, **spec: Any) -> Case:
    """API pods that are ready and answer so."""

    async def happens(stage: Stage) -> None:
        stage.say(said)
        await stage.serve()

    async def mended(stage: Stage) -> None:
        await stage.edit(targets=TARGETS)
        stage.say(healthy())

    return Case(happens, type_, status, words, mended, spec)


def child(words: str, spoil: Act, repair: Act, **spec: Any) -> Case:
    """A child that comes to be asked for when something stands in its way."""

    async def happens(stage: Stage) -> None:
        await stage.serve()
        await spoil(stage)
        await stage.edit(**(spec or {"api": INGRESS}))

    return Case(happens, "Degraded", "True", words, repair)


def unschedulable(words: str, **more: str) -> Pod:
    """A pod that the scheduler has no node for."""
    return Pod(scheduled=False, extra=(condition("PodScheduled", "False", "Unschedulable", words),), **more)  # type: ignore[arg-type]


async def nothing(stage: Stage) -> None:
    """The workloads' controllers have made no pod yet."""


async def is_suspended(stage: Stage) -> None:
    await stage.serve()
    await stage.edit(suspend=True)
    await stage.clear()


async def is_resumed(stage: Stage) -> None:
    await stage.edit(suspend=False)
    await stage.serve()


async def loses_its_service(stage: Stage) -> None:
    """A running operator makes a Service again at once."""
    await stage.serve()
    await stage.annotate("paused", "true")
    await stage.kube.delete("Service", "demo-api")


async def is_paused_no_more(stage: Stage) -> None:
    await stage.annotate("paused", None)


async def is_scaled(stage: Stage) -> None:
    await stage.edit(model={"replicas": 1})
    await stage.serve()


async def cannot_make_pods(stage: Stage) -> None:
    await stage.warn(event("StatefulSet", "demo-model", "FailedCreate", "create Pod failed: exceeded quota: small"))


async def has_no_volume(stage: Stage) -> None:
    """As the StatefulSet's controller makes the claim, and the volumes' controller fails."""
    (template,) = (await stage.workloads())["model"]["spec"]["volumeClaimTemplates"]
    metadata = {"name": CLAIM, "labels": template["metadata"]["labels"]}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}
    await stage.kube.create(claim)
    await stage.put(unschedulable("pod has unbound immediate PersistentVolumeClaims", claim=CLAIM))
    await stage.warn(event("PersistentVolumeClaim", CLAIM, "ProvisioningFailed", 'storageclass "fast" not found'))


async def new_pods_fail(stage: Stage) -> None:
    await stage.put(Pod(ready=True))
    await stage.put(api_pod("demo-api-old", ready=True))
    await stage.put(api_pod("demo-api-new", **crashed("error: no such field")))


async def is_unknown(stage: Stage) -> None:
    await stage.serve()
    await stage.edit(later="a field of a later release")


async def is_known(stage: Stage) -> None:
    await stage.edit(later=None)


async def somebody_has_the_name(stage: Stage) -> None:
    rule = {"host": "other.example.com"}
    metadata = {"name": "demo-api"}
    await stage.kube.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": [rule]}}
    )


async def gives_up_the_name(stage: Stage) -> None:
    foreign = await stage.kube.get("Ingress", "demo-api")
    assert foreign
    assert foreign["spec"]["rules"] == [{"host": "other.example.com"}]
    await stage.kube.delete("Ingress", "demo-api")


async def a_policy_denies(stage: Stage) -> None:
    name = {"name": stage.kube.namespace}
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["ingresses"],
    }
    validation = {"expression": "false", "message": "the platform team makes Ingresses"}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": stage.kube.namespace}}
    binding = {
        "policyName": stage.kube.namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    for plural, spec in (("policies", policy), ("policybindings", binding)):
        made = await stage.kube.client.post(
            f"{POLICY}/validatingadmission{plural}", json={"metadata": name, "spec": spec}
        )
        made.raise_for_status()
    await eventually(lambda: denies(stage))


async def denies(stage: Stage) -> None:
    body = {"metadata": {"name": "trial"}, "spec": {"rules": [{"host": "trial.example.com"}]}}
    answered = await stage.kube.client.post(stage.kube.path("Ingress"), params={"dryRun": "All"}, json=body)
    assert answered.status_code == 422, answered.text


async def the_policy_goes(stage: Stage) -> None:
    for plural in ("policybindings", "policies"):
        gone = await stage.kube.client.delete(f"{POLICY}/validatingadmission{plural}/{stage.kube.namespace}")
        gone.raise_for_status()


async def a_verb_is_taken(stage: Stage) -> None:
    rules = [rule for rule in rbac.operator_rules() if rule["resources"] != ["ingresses"]]
    rules.append({"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": list(rbac.READ)})
    grant(stage.proxy.server, "operator", [*rules, *rbac.lease_rules()])
    await eventually(lambda: may_patch(stage, so=False))


async def the_verb_is_given(stage: Stage) -> None:
    grant(stage.proxy.server, "operator", [*rbac.operator_rules(), *rbac.lease_rules()])


async def may_patch(stage: Stage, *, so: bool) -> None:
    attributes = {"verb": "patch", "group": "networking.k8s.io", "resource": "ingresses", "namespace": "x"}
    review = {"spec": {"user": "operator", "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await stage.kube.client.post(path, json=review)).json()["status"]["allowed"] is so


async def the_api_server_fails(stage: Stage) -> None:
    stage.proxy.faults.append(
        faults.once(
            method="PATCH", plural="ingresses", answer=lambda: faults.status(503, message="no leader"), times=999
        )
    )


async def the_api_server_recovers(stage: Stage) -> None:
    stage.proxy.faults.clear()


async def the_kind_is_brought(stage: Stage) -> None:
    made = await stage.kube.client.post(DEFINITIONS, json=open_definition(BY_NAME["ServiceMonitor"]))
    made.raise_for_status()


CREATING = Pod(state=waiting("ContainerCreating"))
UNUSED = answered(health(), router_model={"state": "unused"})
UNSAID = answered(health(), router_model={"state": "unknown"})
NONE = answered(health(), targets={})
CASES = {
    Reason.SUSPENDED: Case(is_suspended, "Ready", "False", "no pods run", is_resumed),
    Reason.SCALED_TO_ZERO: Case(
        nothing, words="0 replicas", **model(mended=is_scaled, spec={"model": {"replicas": 0}})
    ),
    Reason.UNCONFIRMED: answer(UNSAID, "ModelReady", "Unknown", "No API pod has received a decision"),
    Reason.UNREACHABLE: answer(Health(None, "timed out"), "APIReady", "Unknown", "timed out"),
    Reason.UNUSED: answer(UNUSED, "ModelReady", "True", "is not used"),
    Reason.NOT_DECIDING: answer(health(router_model="wrote prose"), "ModelReady", "False", "wrote prose"),
    Reason.NO_TARGETS: answer(NONE, "TargetsReady", "False", "There are no targets", targets=[]),
    Reason.NO_TARGET_ANSWERS: answer(
        health(targets={"cheap": "key refused", "strong": "gone"}), "TargetsReady", "False", "key refused"
    ),
    Reason.TARGET_BAD: answer(health(targets={"cheap": None, "strong": "gone"}), "Degraded", "True", "`strong`"),
    Reason.CONFIGURATION_REFUSED: answer(health(refused="targets.0: no"), "Degraded", "True", "targets.0: no"),
    Reason.NOBODY_ADMITTED: answer(health(closed="no keys: nobody gets in"), "Degraded", "True", "nobody gets in"),
    Reason.INVALID_SPEC: Case(is_unknown, "Ready", "False", "later", is_known),
    Reason.FOREIGN_OBJECT: child(
        "Ingress demo-api: an object with this name exists", somebody_has_the_name, gives_up_the_name
    ),
    Reason.REFUSED: child("the platform team makes Ingresses", a_policy_denies, the_policy_goes),
    Reason.FORBIDDEN: child('cannot patch resource "ingresses"', a_verb_is_taken, the_verb_is_given),
    Reason.FAILED: child("no leader", the_api_server_fails, the_api_server_recovers),
    Reason.KIND_MISSING: child(
        "no ServiceMonitor", nothing, the_kind_is_brought, monitoring={"serviceMonitor": {"enabled": True}}
    ),
    Reason.STARTING: Case(nothing, "APIReady", "False", "are starting"),
    Reason.POD_REFUSED: Case(cannot_make_pods, words="exceeded quota: small", **model()),
    Reason.UNSCHEDULABLE: pod(unschedulable("3 Insufficient nvidia.com/gpu"), "3 Insufficient nvidia.com/gpu"),
    Reason.VOLUME_UNBOUND: Case(
        has_no_volume,
        words='storageclass "fast" not found',
        **model(spec={"model": {"source": "hf://org/name", "storage": {"size": "1Gi"}}}),
    ),
    Reason.VOLUME_NOT_MOUNTED: pod(
        CREATING, 'secret "s" not found', event("Pod", "demo-model-0", "FailedMount", 'secret "s" not found')
    ),
    Reason.IMAGE_PULL_FAILED: pod(Pod(state=waiting("ErrImagePull", "any: not found")), "any: not found"),
    Reason.CONTAINER_CONFIG_ERROR: pod(
        Pod(state=waiting("CreateContainerConfigError", 'secret "hub" not found')), 'secret "hub" not found'
    ),
    Reason.CONTAINER_NOT_STARTED: pod(Pod(state=waiting("RunContainerError", "no such file")), "no such file"),
    Reason.LOADING: pod(Pod(state=running(), phase="Running"), "startup probe"),
    Reason.NOT_READY: pod(Pod(state=running(), started=True, phase="Running", lost=10), "readiness probe"),
    Reason.SERVICE_MISSING: Case(
        loses_its_service, "APIReady", "False", "The Service of the API does not exist", is_paused_no_more
    ),
    Reason.STARTUP_TIMEOUT: ended("loading 3/7", 137, lasted=1800, age=1),
    Reason.CRASH_LOOPING: ended("ValueError: no good"),
    Reason.OUT_OF_MEMORY: pod(Pod(**crashed(None, 137, "OOMKilled")), "ran out of memory"),
    Reason.ACCELERATOR_MEMORY: ended("torch.OutOfMemoryError: CUDA out of memory"),
    Reason.ACCELERATOR_MISSING: ended("RuntimeError: No CUDA GPUs are available"),
    Reason.HUB_UNAUTHORIZED: ended("HfHubHTTPError: 401 Client Error"),
    Reason.HUB_FORBIDDEN: ended("GatedRepoError: 403 Client Error"),
    Reason.HUB_NOT_FOUND: ended("RepositoryNotFoundError: 404 Client Error"),
    Reason.HUB_UNREACHABLE: ended("LocalEntryNotFoundError: cannot find the file on the hub"),
    Reason.MODEL_PATH_MISSING: ended("error: no such model file: /model/x", 80),
    Reason.NODE_REFUSED: pod(Pod(phase="Failed", reason="UnexpectedAdmissionError", message="no device"), "no device"),
    Reason.EVICTED: pod(Pod(phase="Failed", reason="Evicted", message="low on memory"), "low on memory"),
    Reason.NODE_LOST: pod(
        Pod(containers_ready=True, unready_reason=None, started=True, state=running(), phase="Running"), "node-1"
    ),
    Reason.ROLLOUT_STUCK: Case(new_pods_fail, "Degraded", "True", "error: no such field; 1 of 1 pods are ready"),
}
