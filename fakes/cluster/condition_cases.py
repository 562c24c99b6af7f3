"""Defines a test case for each reason of a condition, except the reasons of a healthy router.

A test case contains actions that cause the reason, and actions that resolve the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from rl_router_operator import rbac
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.observed import Health
from rl_router_operator.status.reasons import Reason

from . import proxy
from .admission import CRDS
from .health import altered, health, healthy
from .installation import all_rules, grant
from .optional_kinds import OPTIONAL, crd_of, old_crd_of
from .pods import Pod, api_pod, crash_looping, event, running, unschedulable, waiting
from .scenario import TARGETS
from .simulation import Simulation
from .waiting import eventually

PVC = "weights-demo-model-0"
STORAGE = {"model": {"source": "hf://org/name", "storage": {"size": "1Gi"}}}
INGRESS = {"auth": {"anonymous": True}, "ingress": {"host": "router.example.com"}}
ADMISSION_POLICIES = "/apis/admissionregistration.k8s.io/v1"

Act = Callable[[Simulation], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """A test case for a reason of a condition.

    The attribute `cause` is a function that causes the reason, and the attribute `resolve` is a function that resolves
    the reason. The attribute `message` is a part of the condition's message.
    """

    cause: Act
    type: str
    status: str
    message: str
    resolve: Act = Simulation.make_ready
    spec: dict[str, Any] = field(default_factory=dict)


def model(status: str = "False", **case: Any) -> dict[str, Any]:
    """Returns the fields of a Case for the condition ModelReady."""
    return {"type": "ModelReady", "status": status, **case}


def pod_fails(pod: Pod, message: str, *warnings: Manifest, **case: Any) -> Case:
    """Returns a test case in which the model pod is not ready, with the Events `warnings` about the model pod."""

    async def cause(simulation: Simulation) -> None:
        await simulation.put_pod(pod)
        for warning in warnings:
            await simulation.create_event(warning)

    return Case(cause, message=message, **model(**case))


def model_exits(message: str, *args: Any, **times: float) -> Case:
    """Returns a test case in which the container of the model pod ended with the message `message` and will be
    restarted."""
    return pod_fails(Pod(**crash_looping(message, *args, **times)), message)


def api_reports(report: Health, type_: str, status: str, message: str, **spec: Any) -> Case:
    """Returns a test case in which the pods are ready and the operator's health checks of API pods return `report`."""

    async def cause(simulation: Simulation) -> None:
        simulation.report(report)
        await simulation.make_ready()

    async def resolve(simulation: Simulation) -> None:
        await simulation.kube.edit_spec(targets=TARGETS)
        simulation.report(healthy())

    return Case(cause, type_, status, message, resolve, spec)


def child_fails(message: str, obstruct: Act, clear: Act, **spec: Any) -> Case:
    """Returns a test case in which the operator cannot create a new child after `obstruct` was called.

    By default, the new child is an Ingress.
    """

    async def cause(simulation: Simulation) -> None:
        await simulation.make_ready()
        await obstruct(simulation)
        await simulation.kube.edit_spec(**(spec or {"api": INGRESS}))

    return Case(cause, "Degraded", "True", message, clear)


async def do_nothing(_simulation: Simulation) -> None:
    """Does nothing, because the reason needs no further action."""


async def suspend(simulation: Simulation) -> None:
    await simulation.make_ready()
    await simulation.kube.edit_spec(suspend=True)
    await simulation.delete_pods()


async def resume(simulation: Simulation) -> None:
    await simulation.kube.edit_spec(suspend=False)
    await simulation.make_ready()


async def delete_service_while_paused(simulation: Simulation) -> None:
    """Pauses the router and deletes the API's Service.

    If the router were not paused, the operator would immediately recreate the Service.
    """
    await simulation.make_ready()
    await simulation.kube.annotate("paused", "true")
    await simulation.kube.delete("Service", "demo-api")


async def unpause(simulation: Simulation) -> None:
    await simulation.kube.annotate("paused", None)


async def scale_up(simulation: Simulation) -> None:
    await simulation.kube.edit_spec(model={"replicas": 1})
    await simulation.make_ready()


async def reject_pods(simulation: Simulation) -> None:
    message = "create Pod failed: exceeded quota: small"
    await simulation.create_event(event("StatefulSet", "demo-model", "FailedCreate", message))


async def create_pvc(simulation: Simulation, size: str, **fields: Any) -> None:
    """Creates the PVC of the model pod with the size `size`, in the form in which the StatefulSet controller creates
    PVCs. The fields `fields` are added to the spec of the PVC, or replace fields of the same name."""
    workload = await simulation.kube.existing("StatefulSet", "demo-model")
    (template,) = workload["spec"]["volumeClaimTemplates"]
    metadata = {"name": PVC, "labels": template["metadata"]["labels"]}
    spec = {**template["spec"], "resources": {"requests": {"storage": size}}, **fields}
    pvc = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    await simulation.kube.create(pvc)


async def fail_provisioning(simulation: Simulation) -> None:
    """Creates the PVC and the pod of the router model, and an Event which says that the PVC gets no volume."""
    await create_pvc(simulation, "1Gi")
    await simulation.put_pod(unschedulable("pod has unbound immediate PersistentVolumeClaims", pvc=PVC))
    message = 'storageclass "fast" not found'
    await simulation.create_event(event("PersistentVolumeClaim", PVC, "ProvisioningFailed", message))


async def fail_rollout(simulation: Simulation) -> None:
    await simulation.put_pod(Pod(ready=True))
    await simulation.put_pod(api_pod("demo-api-old", ready=True))
    await simulation.put_pod(api_pod("demo-api-new", **crash_looping("error: no such field")))


async def set_unknown_field(simulation: Simulation) -> None:
    await simulation.make_ready()
    await simulation.kube.edit_spec(later="a field of a later release")


async def remove_unknown_field(simulation: Simulation) -> None:
    await simulation.kube.edit_spec(later=None)


async def create_foreign_ingress(simulation: Simulation) -> None:
    rule = {"host": "other.example.com"}
    metadata = {"name": "demo-api"}
    await simulation.kube.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": [rule]}}
    )


async def delete_foreign_ingress(simulation: Simulation) -> None:
    foreign = await simulation.kube.existing("Ingress", "demo-api")
    assert foreign["spec"]["rules"] == [{"host": "other.example.com"}]
    await simulation.kube.delete("Ingress", "demo-api")


async def add_admission_policy(simulation: Simulation) -> None:
    """Creates an admission policy that rejects new and changed Ingresses of the namespace, and waits for its effect."""
    namespace = simulation.kube.namespace
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["ingresses"],
    }
    validation = {"expression": "false", "message": "the platform team makes Ingresses"}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    for plural, spec in (("policies", policy), ("policybindings", binding)):
        body = {"metadata": {"name": namespace}, "spec": spec}
        path = f"{ADMISSION_POLICIES}/validatingadmission{plural}"
        (await simulation.kube.client.post(path, json=body)).raise_for_status()
    await eventually(lambda: _rejects_ingresses(simulation))


async def _rejects_ingresses(simulation: Simulation) -> None:
    body = {"metadata": {"name": "trial"}, "spec": {"rules": [{"host": "trial.example.com"}]}}
    kube = simulation.kube
    response = await kube.client.post(kube.path("Ingress"), params={"dryRun": "All"}, json=body)
    assert response.status_code == 422, response.text


async def remove_admission_policy(simulation: Simulation) -> None:
    for plural in ("policybindings", "policies"):
        path = f"{ADMISSION_POLICIES}/validatingadmission{plural}/{simulation.kube.namespace}"
        (await simulation.kube.client.delete(path)).raise_for_status()


async def make_immutable(simulation: Simulation) -> None:
    """Makes the API's ConfigMap immutable, and changes the spec so that the operator must change the ConfigMap."""
    await simulation.make_ready()
    await simulation.kube.merge("ConfigMap", "demo-api", {"immutable": True})
    await simulation.kube.edit_spec(routing={"timeout": 7})


async def delete_immutable(simulation: Simulation) -> None:
    await simulation.kube.delete("ConfigMap", "demo-api")


async def revoke_permission(simulation: Simulation) -> None:
    rules = [rule for rule in all_rules() if rule["resources"] != ["ingresses"]]
    rules.append({"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": list(rbac.READ)})
    grant(simulation.proxy.server, "operator", rules)
    await eventually(lambda: _may_not_patch(simulation))


async def _may_not_patch(simulation: Simulation) -> None:
    attributes = {"verb": "patch", "group": "networking.k8s.io", "resource": "ingresses", "namespace": "x"}
    review = {"spec": {"user": "operator", "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    response = await simulation.kube.client.post(path, json=review)
    assert response.json()["status"]["allowed"] is False


async def restore_permission(simulation: Simulation) -> None:
    grant(simulation.proxy.server, "operator", all_rules())


async def fail_requests(simulation: Simulation) -> None:
    def unavailable() -> web.StreamResponse:
        return proxy.error(503, message="no leader")

    fault = proxy.fault_for(method="PATCH", plural="ingresses", response=unavailable, times=999)
    simulation.proxy.faults.append(fault)


async def stop_faults(simulation: Simulation) -> None:
    simulation.proxy.faults.clear()


async def install_kind(simulation: Simulation) -> None:
    (await simulation.kube.client.post(CRDS, json=crd_of("ServiceMonitor"))).raise_for_status()


async def install_old_kind(simulation: Simulation) -> None:
    """Installs a version of the CRD of HTTPRoute that does not have the field `spec.rules` yet."""
    crd = old_crd_of("HTTPRoute", "parentRefs")
    (await simulation.kube.client.post(CRDS, json=crd)).raise_for_status()


async def upgrade_kind(simulation: Simulation) -> None:
    crd = crd_of("HTTPRoute")
    headers = {"Content-Type": "application/merge-patch+json"}
    path = f"{CRDS}/{crd['metadata']['name']}"
    (await simulation.kube.client.patch(path, json={"spec": crd["spec"]}, headers=headers)).raise_for_status()


async def age_the_deployment(simulation: Simulation) -> None:
    """Changes the API's Deployment, and sets the recorded time of the Deployment's last change to an earlier time.

    Because the test runs no Deployment controller, the change of the Deployment is never processed.
    """
    await simulation.make_ready()
    await simulation.kube.annotate("note", "a change", "Deployment", "demo-api")
    live = await simulation.kube.existing("Deployment", "demo-api")
    entries = [entry for entry in live["metadata"]["managedFields"] if entry["manager"] != "somebody"]
    entries = [{**entry, "time": "2026-01-01T00:00:00Z"} for entry in entries]
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": entries}
    await simulation.kube.patch("Deployment", "demo-api", [operation])


async def process_the_deployment(simulation: Simulation) -> None:
    live = await simulation.kube.existing("Deployment", "demo-api")
    status = {"observedGeneration": live["metadata"]["generation"]}
    await simulation.kube.merge("Deployment", "demo-api", {"status": status}, "status")


async def delete_with_finalizer(simulation: Simulation) -> None:
    """Adds a finalizer, which no controller removes, to the API's ConfigMap, and deletes the ConfigMap."""
    await simulation.make_ready()
    await simulation.kube.merge("ConfigMap", "demo-api", {"metadata": {"finalizers": ["example.com/backup"]}})
    await simulation.kube.delete("ConfigMap", "demo-api")


async def remove_finalizer(simulation: Simulation) -> None:
    await simulation.kube.merge("ConfigMap", "demo-api", {"metadata": {"finalizers": None}})


async def pause_the_deployment(simulation: Simulation) -> None:
    await simulation.make_ready()
    await simulation.kube.merge("Deployment", "demo-api", {"spec": {"paused": True}})


async def resume_the_deployment(simulation: Simulation) -> None:
    await simulation.kube.merge("Deployment", "demo-api", {"spec": {"paused": None}})


async def create_shared_pvc(simulation: Simulation) -> None:
    await simulation.make_ready()
    await create_pvc(simulation, "1Gi", accessModes=["ReadWriteMany"])


async def request_shared_pvc(simulation: Simulation) -> None:
    await simulation.kube.edit_spec(model={"storage": {"accessModes": ["ReadWriteMany"]}})


async def create_larger_pvc(simulation: Simulation) -> None:
    await simulation.make_ready()
    await create_pvc(simulation, "2Gi")


async def raise_storage_size(simulation: Simulation) -> None:
    await simulation.kube.edit_spec(model={"storage": {"size": "2Gi"}})


CREATING = Pod(state=waiting("ContainerCreating"))
MODEL_UNUSED = altered(health(), router_model={"state": "unused"})
MODEL_UNKNOWN = altered(health(), router_model={"state": "unknown"})
NO_TARGETS = altered(health(), targets={})
NO_KEYS = "keys contains no keys: nobody is admitted"
CASES = {
    Reason.SUSPENDED: Case(suspend, "Ready", "False", "no pods run", resume),
    Reason.SCALED_TO_ZERO: Case(
        do_nothing, message="number of replicas is set to 0", **model(resolve=scale_up, spec={"model": {"replicas": 0}})
    ),
    Reason.UNCONFIRMED: api_reports(MODEL_UNKNOWN, "ModelReady", "Unknown", "No ready API pod reports a decision"),
    Reason.UNREACHABLE: api_reports(Health(None, "timed out"), "APIReady", "Unknown", "timed out"),
    Reason.UNUSED: api_reports(MODEL_UNUSED, "ModelReady", "True", "is not used"),
    Reason.NOT_DECIDING: api_reports(health(router_model="wrote prose"), "ModelReady", "False", "wrote prose"),
    Reason.NO_TARGETS: api_reports(NO_TARGETS, "TargetsReady", "False", "The router has no targets", targets=[]),
    Reason.NO_TARGET_ANSWERS: api_reports(
        health(targets={"cheap": "key refused", "strong": "gone"}), "TargetsReady", "False", "key refused"
    ),
    Reason.TARGET_BAD: api_reports(health(targets={"cheap": None, "strong": "gone"}), "Degraded", "True", "`strong`"),
    Reason.CONFIGURATION_REFUSED: api_reports(health(refused="targets.0: no"), "Degraded", "True", "targets.0: no"),
    Reason.NOBODY_ADMITTED: api_reports(health(closed=NO_KEYS), "Degraded", "True", "nobody is admitted"),
    Reason.INVALID_SPEC: Case(set_unknown_field, "Ready", "False", "later", remove_unknown_field),
    Reason.FOREIGN_OBJECT: child_fails(
        "Ingress demo-api: an object with the name of the child exists", create_foreign_ingress, delete_foreign_ingress
    ),
    Reason.REFUSED: child_fails("the platform team makes Ingresses", add_admission_policy, remove_admission_policy),
    Reason.IMMUTABLE: Case(
        make_immutable, "Degraded", "True", "ConfigMap demo-api: ConfigMap", resolve=delete_immutable
    ),
    Reason.FORBIDDEN: child_fails('cannot patch resource "ingresses"', revoke_permission, restore_permission),
    Reason.FAILED: child_fails("no leader", fail_requests, stop_faults),
    Reason.KIND_MISSING: child_fails(
        "does not have the kind ServiceMonitor",
        do_nothing,
        install_kind,
        monitoring={"serviceMonitor": {"enabled": True}},
    ),
    Reason.FIELD_UNSUPPORTED: child_fails(
        ".spec.rules: field not declared in schema", install_old_kind, upgrade_kind, **OPTIONAL["HTTPRoute"]
    ),
    Reason.CONTROLLER_MISSING: Case(
        age_the_deployment, "Degraded", "True", "Deployment demo-api: no controller", process_the_deployment
    ),
    Reason.DELETION_STUCK: Case(
        delete_with_finalizer,
        "Degraded",
        "True",
        "ConfigMap demo-api: the deletion of the object waits for the finalizers `example.com/backup`",
        remove_finalizer,
    ),
    Reason.ROLLOUT_PAUSED: Case(
        pause_the_deployment, "Degraded", "True", "Deployment demo-api: the field spec.paused", resume_the_deployment
    ),
    Reason.VOLUME_NOT_CHANGED: Case(
        create_shared_pvc,
        "Degraded",
        "True",
        f"PersistentVolumeClaim {PVC}: the PVC has the access modes ReadWriteMany",
        request_shared_pvc,
        STORAGE,
    ),
    Reason.VOLUME_NOT_SHRUNK: Case(
        create_larger_pvc,
        "Degraded",
        "True",
        f"PersistentVolumeClaim {PVC}: the PVC has a size of 2Gi, but spec.model.storage.size is 1Gi",
        raise_storage_size,
        STORAGE,
    ),
    Reason.STARTING: Case(do_nothing, "APIReady", "False", "are starting"),
    Reason.POD_REFUSED: Case(reject_pods, message="exceeded quota: small", **model()),
    Reason.UNSCHEDULABLE: pod_fails(unschedulable("3 Insufficient nvidia.com/gpu"), "3 Insufficient nvidia.com/gpu"),
    Reason.VOLUME_UNBOUND: Case(
        fail_provisioning,
        message='storageclass "fast" not found',
        **model(spec=STORAGE),
    ),
    Reason.VOLUME_NOT_MOUNTED: pod_fails(
        CREATING, 'secret "s" not found', event("Pod", "demo-model-0", "FailedMount", 'secret "s" not found')
    ),
    Reason.IMAGE_PULL_FAILED: pod_fails(Pod(state=waiting("ErrImagePull", "any: not found")), "any: not found"),
    Reason.CONTAINER_CONFIG_ERROR: pod_fails(
        Pod(state=waiting("CreateContainerConfigError", 'secret "hub" not found')), 'secret "hub" not found'
    ),
    Reason.CONTAINER_NOT_STARTED: pod_fails(Pod(state=waiting("RunContainerError", "no such file")), "no such file"),
    Reason.LOADING: pod_fails(Pod(state=running(), phase="Running"), "startup probe"),
    Reason.NOT_READY: pod_fails(Pod(state=running(), started=True, phase="Running", unready_for=10), "readiness probe"),
    Reason.SERVICE_MISSING: Case(
        delete_service_while_paused, "APIReady", "False", "The Service of the API does not exist", unpause
    ),
    Reason.STARTUP_TIMEOUT: model_exits("loading 3/7", 137, lasted=1800, age=1),
    Reason.CRASH_LOOPING: model_exits("ValueError: no good"),
    Reason.OUT_OF_MEMORY: pod_fails(Pod(**crash_looping(None, 137, "OOMKilled")), "ran out of memory"),
    Reason.ACCELERATOR_MEMORY: model_exits("torch.OutOfMemoryError: CUDA out of memory"),
    Reason.ACCELERATOR_MISSING: model_exits("RuntimeError: No CUDA GPUs are available"),
    Reason.HUB_UNAUTHORIZED: model_exits("HfHubHTTPError: 401 Client Error"),
    Reason.HUB_FORBIDDEN: model_exits("GatedRepoError: 403 Client Error"),
    Reason.HUB_NOT_FOUND: model_exits("RepositoryNotFoundError: 404 Client Error"),
    Reason.HUB_UNREACHABLE: model_exits("LocalEntryNotFoundError: cannot find the file on the hub"),
    Reason.MODEL_PATH_MISSING: model_exits("error: no such model file: /model/x", 80),
    Reason.NODE_REFUSED: pod_fails(
        Pod(phase="Failed", reason="UnexpectedAdmissionError", message="no device"), "no device"
    ),
    Reason.EVICTED: pod_fails(Pod(phase="Failed", reason="Evicted", message="low on memory"), "low on memory"),
    Reason.NODE_LOST: pod_fails(
        Pod(containers_ready=True, unready_reason=None, started=True, state=running(), phase="Running"), "node-1"
    ),
    Reason.ROLLOUT_STUCK: Case(fail_rollout, "Degraded", "True", "error: no such field; 1 of 1 pods are ready"),
}
