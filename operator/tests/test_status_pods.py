"""Why pods are not ready: the reason, and a message from its source that is stable while nothing changes."""

from __future__ import annotations

import pytest
from rl_router_operator.objects.manifest import Manifest

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.pods import (
    Pod,
    ago,
    api_pod,
    condition,
    crash_looping,
    event,
    running,
    terminated,
    unschedulable,
    waiting,
)
from fakes.cluster.scenario import Scenario, workload

NO_GPU = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/3 nodes are "
    "available: 3 Preemption is not helpful for scheduling."
)
PULL = (
    'failed to pull and unpack image "registry.example/none:1": failed to resolve reference "registry.example/none:1": '
    "registry.example/none:1: not found"
)
STRICT = 'violates PodSecurity "restricted:latest": runAsNonRoot != true (container "model" must set it)'
START = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "/no/such": stat /no/such: no such file or directory: unknown'
)


def failure_of(pod: Pod, *events: Manifest, pvcs: tuple[Manifest, ...] = ()) -> tuple[str, str]:
    """Returns the reason and message of ModelReady if the router model has this pod. Fails if it is ready."""
    status = Scenario(model=(pod,), events=events, pvcs=pvcs).status()
    model_ready = condition_of(status, "ModelReady")
    assert model_ready["status"] == "False"
    return model_ready["reason"], model_ready["message"]


def test_the_scheduler_finds_no_node_with_a_gpu() -> None:
    reason, message = failure_of(unschedulable(NO_GPU))
    assert reason == "Unschedulable"
    assert "3 Insufficient nvidia.com/gpu" in message


def test_a_pvc_with_a_missing_storage_class() -> None:
    cause = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    pod = unschedulable(cause, pvc="weights-demo-model-0")
    name = "weights-demo-model-0"
    pvc = {"kind": "PersistentVolumeClaim", "metadata": {"name": name, "uid": "c"}, "status": {"phase": "Pending"}}
    warning = event("PersistentVolumeClaim", name, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')
    reason, message = failure_of(pod, warning, pvcs=(pvc,))
    assert (reason, 'storageclass.storage.k8s.io "fast" not found' in message) == ("VolumeUnbound", True)
    bound = pvc | {"status": {"phase": "Bound"}}
    assert failure_of(pod, warning, pvcs=(bound,))[0] == "Unschedulable"


def test_a_missing_pvc_with_weights() -> None:
    cause = '0/1 nodes are available: persistentvolumeclaim "gone" not found. not found'
    reason, message = failure_of(unschedulable(cause))
    assert (reason, '"gone" not found' in message) == ("VolumeUnbound", True)


def test_a_missing_secret_that_should_be_mounted() -> None:
    warning = event(
        "Pod", "demo-model-0", "FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found'
    )
    reason, message = failure_of(Pod(state=waiting("ContainerCreating")), warning)
    assert (reason, 'secret "s" not found' in message) == ("VolumeNotMounted", True)


def test_events_of_an_earlier_pod_with_the_same_name_are_ignored() -> None:
    warning = event("Pod", "demo-model-0", "FailedMount", "MountVolume.SetUp failed", uid="earlier")
    assert failure_of(Pod(state=waiting("ContainerCreating")), warning)[0] == "Starting"


def test_only_the_latest_of_the_kubelets_events_counts() -> None:
    old = event("Pod", "demo-model-0", "FailedMount", 'secret "a" not found', age=900)
    new = event("Pod", "demo-model-0", "FailedMount", 'secret "b" not found', age=10)
    message = failure_of(Pod(state=waiting("ContainerCreating")), old, new)[1]
    assert ('"b"' in message, '"a"' in message) == (True, False)


def test_events_about_two_volumes_give_one_message_in_any_order() -> None:
    first = event("Pod", "demo-model-0", "FailedMount", 'secret "a" not found', age=10)
    second = event("Pod", "demo-model-0", "FailedMount", 'secret "b" not found', age=20)
    pod = Pod(state=waiting("ContainerCreating"))
    assert failure_of(pod, first, second) == failure_of(pod, second, first)


def test_an_image_that_cannot_be_pulled_is_reported_with_the_registrys_message() -> None:
    pulling = Pod(state=waiting("ErrImagePull", PULL))
    backing_off = Pod(
        state=waiting("ImagePullBackOff", f'Back-off pulling image "registry.example/none:1": ErrImagePull: {PULL}')
    )
    reason, message = failure_of(pulling)
    assert (reason, "registry.example/none:1: not found" in message) == ("ImagePullFailed", True)
    assert failure_of(backing_off) == failure_of(pulling)


def test_the_registrys_message_may_come_only_from_an_event() -> None:
    backing_off = Pod(state=waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/none:1"'))
    warning = event("Pod", "demo-model-0", "Failed", f'Failed to pull image "registry.example/none:1": {PULL}')
    assert failure_of(backing_off, warning) == failure_of(Pod(state=waiting("ErrImagePull", PULL)))


def test_an_invalid_image_name() -> None:
    cause = 'Failed to apply default image tag "UPPER/Case:1:2": couldn\'t parse image name "UPPER/Case:1:2"'
    reason, message = failure_of(Pod(state=waiting("InvalidImageName", cause)))
    assert (reason, "UPPER/Case:1:2" in message) == ("ImagePullFailed", True)


def test_a_missing_secret_of_an_environment_variable() -> None:
    reason, message = failure_of(Pod(state=waiting("CreateContainerConfigError", 'secret "hub" not found')))
    assert (reason, 'secret "hub" not found' in message) == ("ContainerConfigError", True)


def test_an_image_that_lacks_the_program() -> None:
    pod = Pod(state=waiting("RunContainerError", START), last=terminated(START, 128, "StartError"))
    reason, message = failure_of(pod)
    assert (reason, 'exec: "/no/such"' in message) == ("ContainerNotStarted", True)
    assert failure_of(Pod(**crash_looping(START, 128, "StartError"))) == (reason, message)


def test_a_pod_whose_network_cannot_be_set_up() -> None:
    cause = 'Failed to create pod sandbox: rpc error: failed to setup network for sandbox "{}": plugin is missing'
    pod = Pod(state=waiting("ContainerCreating"))
    warnings = [event("Pod", "demo-model-0", "FailedCreatePodSandBox", cause.format(letter * 64)) for letter in "ab"]
    reason, message = failure_of(pod, warnings[0])
    assert (reason, "plugin is missing" in message) == ("ContainerNotStarted", True)
    assert failure_of(pod, warnings[1]) == (reason, message)


def test_a_crash_is_reported_with_the_line_that_names_an_error() -> None:
    log = "Traceback (most recent call last):\nValueError: no good\nloading\n"
    reason, message = failure_of(Pod(**crash_looping(log)))
    assert (reason, "exit code 1: ValueError: no good" in message) == ("CrashLooping", True)
    assert "a log line" in failure_of(Pod(**crash_looping("a log line\n")))[1]
    assert "exit code 7" in failure_of(Pod(**crash_looping(None, 7)))[1]


def test_an_engines_log_prefix_and_its_summary_line_are_removed() -> None:
    log = (
        "(EngineCore_DP0 pid=87) ERROR 11-24 21:24:07 [core.py:700] ValueError: unknown quantization\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert "exit code 1: ValueError: unknown quantization." in failure_of(Pod(**crash_looping(log)))[1]


def test_the_apis_configuration_error_is_reported() -> None:
    pod = api_pod(**crash_looping("error: targets.0.name: `router` is taken; choose another\n", 2))
    status = Scenario(api=(pod,)).status()
    assert state_of(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "targets.0.name: `router` is taken" in condition_of(status, "APIReady")["message"]
    logged = api_pod(**crash_looping('{"time":"2026-11-24T12:00:00","level":"error","message":"no disk"}\n'))
    assert "error: no disk" in condition_of(Scenario(api=(logged,)).status(), "APIReady")["message"]


def test_a_crash_has_the_same_reason_in_every_phase_of_its_loop() -> None:
    """While the container has ended, waits for its restart or runs again."""
    again = {"last": terminated("ValueError: no"), "restarts": 3, "phase": "Running"}
    phases = [Pod(**crash_looping("ValueError: no")), Pod(state=terminated("ValueError: no", age=0), **again)]
    phases += [Pod(state=running(5), **again), Pod(state=running(5), started=True, **again)]
    assert len({failure_of(pod) for pod in phases}) == 1


def test_request_ids_ports_and_times_do_not_change_the_message() -> None:
    log = "OSError: 503 (Request ID: {0}) read tcp 10.0.0.7:{1}->10.0.0.1:443: reset at 2026-11-24T12:00:0{2}Z pid={1}"
    assert len({failure_of(Pod(**crash_looping(log.format(f"Root=1-{n}", 40000 + n, n))))[1] for n in range(5)}) == 1


def test_a_container_that_has_run_again_for_a_while_is_no_longer_crashing() -> None:
    old = terminated("ValueError: no", age=5000)
    pod = Pod(age=6000, state=running(900), started=True, last=old, restarts=1, phase="Running")
    assert failure_of(pod)[0] == "NotReady"


def test_a_container_that_exceeded_its_memory_limit() -> None:
    reason, message = failure_of(Pod(**crash_looping(None, 137, "OOMKilled")))
    assert (reason, "resources.limits.memory" in message) == ("OutOfMemory", True)


@pytest.mark.parametrize(
    ("log", "reason", "cause"),
    [
        (
            "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-a)\n\n"
            "Cannot access gated repo for url https://hub.example/o/gated/resolve/main/config.json.",
            "HubForbidden",
            "gated repo for url https://hub.example/o/gated",
        ),
        (
            "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-a)\n\n"
            "Cannot access gated repo for url https://hub.example/o/gated/resolve/main/config.json.",
            "HubUnauthorized",
            "401 Client Error",
        ),
        (
            "Client error '401 Unauthorized' for url 'https://hub.example/o/private/resolve/main/config.json'\n"
            "For more information check: https://docs.example/Status/401",
            "HubUnauthorized",
            "o/private",
        ),
        (
            "huggingface_hub.errors.LocalEntryNotFoundError: Got: HfHubHTTPError: (Request ID: Root=1-a)\n\n"
            "403 Forbidden: None.\nCannot access content at: https://hub.example/api/models/o/x.",
            "HubForbidden",
            "403 Forbidden: None. Cannot access content",
        ),
        (
            "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: Root=1-a)\n\n"
            "Repository Not Found for url: https://hub.example/o/absent/resolve/main/config.json.",
            "HubNotFound",
            "o/absent",
        ),
        (
            "OSError: o/absent is not a local folder and is not a valid model identifier listed on 'https://hub.example'\n"
            "If this is a private repository, make sure to pass a token having permission to this repo",
            "HubNotFound",
            "o/absent",
        ),
        (
            "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://hub.example/o/x.",
            "HubForbidden",
            "gated repo",
        ),
        (
            "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate "
            "the file on the Hub",
            "HubUnreachable",
            "locate the file on the Hub",
        ),
        (
            "OSError: We couldn't connect to 'https://hub.example' to load the files",
            "HubUnreachable",
            "couldn't connect",
        ),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'namespace/repo_name': '/model/x'.",
            "ModelPathMissing",
            "/model/x",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            "AcceleratorMemory",
            "Tried to allocate 2.00 GiB",
        ),
        (
            "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be "
            "stored in KV cache (56736).",
            "AcceleratorMemory",
            "131072",
        ),
        ("RuntimeError: Failed to infer device type", "AcceleratorMissing", "Failed to infer device type"),
    ],
)
def test_the_last_lines_of_an_engine_determine_the_reason(log: str, reason: str, cause: str) -> None:
    actual, message = failure_of(Pod(**crash_looping(f"INFO 11-24 12:00:00 [api_server.py:1] starting\n{log}\n")))
    assert (actual, cause in message) == (reason, True), message
    assert "Root=1-a" not in message


def test_an_upstreams_401_in_the_apis_log_is_not_an_error_of_the_hub() -> None:
    pod = api_pod(**crash_looping("error: 401 Client Error"))
    assert state_of(Scenario(api=(pod,)).status(), "APIReady") == ("False", "CrashLooping")


def test_the_message_of_loading_has_the_startup_timeout() -> None:
    reason, message = failure_of(Pod(state=running(), phase="Running"))
    assert (reason, "1800 s" in message) == ("Loading", True)


def test_a_model_that_exceeded_its_startup_timeout() -> None:
    scenario = Scenario(
        spec={"model": {"startupTimeout": 600}}, model=(Pod(**crash_looping("loading 3/7", 137, lasted=600)),)
    )
    status = scenario.status()
    assert state_of(status, "ModelReady") == ("False", "StartupTimeout")
    assert "600 s" in condition_of(status, "ModelReady")["message"]
    assert "loading 3/7" in condition_of(status, "ModelReady")["message"]
    killed_before = Scenario(model=(Pod(**crash_looping("loading 3/7", 137, lasted=600)),)).status()
    assert state_of(killed_before, "ModelReady") == ("False", "CrashLooping")


def test_a_container_that_lost_its_readiness() -> None:
    assert failure_of(Pod(state=running(), started=True, phase="Running", unready_for=10))[0] == "NotReady"


def test_a_container_that_has_just_started_is_not_reported_as_not_ready() -> None:
    loaded = Pod(age=1500, state=running(1400), started=True, phase="Running")
    assert failure_of(loaded)[0] == "Loading"
    young, old = (api_pod(age=90, state=running(age), started=True, phase="Running") for age in (5, 80))
    assert state_of(Scenario(api=(young,)).status(), "APIReady") == ("False", "Starting")
    assert state_of(Scenario(api=(old,)).status(), "APIReady") == ("False", "NotReady")


def test_a_sidecar_that_fails_is_named() -> None:
    pod = Pod(state=waiting("PodInitializing")).manifest()
    pod["status"]["initContainerStatuses"] = [
        {"name": "done", "ready": True, "state": {"terminated": {"exitCode": 0}}},
        {"name": "mesh", "ready": False, "state": waiting("ErrImagePull", PULL)},
    ]
    status = Scenario(model=(), other_pods=(pod,)).status()
    assert state_of(status, "ModelReady") == ("False", "ImagePullFailed")
    assert "container mesh" in condition_of(status, "ModelReady")["message"]


def test_pods_that_pod_security_rejects_are_reported_with_the_statefulsets_event() -> None:
    cause = (
        f'create Pod demo-model-0 in StatefulSet demo-model failed error: pods "demo-model-0" is forbidden: {STRICT}'
    )
    warning = event("StatefulSet", "demo-model", "FailedCreate", cause)
    status = Scenario(model=(), events=(warning,)).status()
    assert state_of(status, "ModelReady") == ("False", "PodRefused")
    assert STRICT in condition_of(status, "ModelReady")["message"]


def test_pods_that_a_quota_rejects_are_reported_with_the_deployments_condition() -> None:
    cause = 'pods "demo-api-5d55-{}" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=1, limited: cpu=1'
    messages = set()
    for name in ("tgdqb", "b9tzg"):
        failure = condition("ReplicaFailure", "True", "FailedCreate", cause.format(name))
        status = Scenario(api=(), children=(workload("model"), workload("api", 1, failure))).status()
        assert state_of(status, "APIReady") == ("False", "PodRefused")
        messages.add(condition_of(status, "APIReady")["message"])
    assert "exceeded quota: small" in messages.pop()
    assert not messages


def test_a_replicasets_event_is_used_if_the_deployment_has_no_condition() -> None:
    cause = '(combined from similar events): Error creating: pods "demo-api-5d55-b9tzg" is forbidden: no'
    warning = event("ReplicaSet", "demo-api-5d55", "FailedCreate", cause)
    status = Scenario(api=(), events=(warning,)).status()
    assert state_of(status, "APIReady") == ("False", "PodRefused")
    foreign = event("ReplicaSet", "demo-api-other-5d55", "FailedCreate", cause)
    assert state_of(Scenario(api=(), events=(foreign,)).status(), "APIReady") == ("False", "Starting")


def test_an_old_rejection_is_ignored() -> None:
    warning = event("StatefulSet", "demo-model", "FailedCreate", "no", age=3000)
    assert state_of(Scenario(model=(), events=(warning,)).status(), "ModelReady") == ("False", "Starting")


def test_a_node_that_rejects_its_pod() -> None:
    cause = "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu"
    reason, message = failure_of(Pod(phase="Failed", reason="UnexpectedAdmissionError", message=cause))
    assert (reason, cause in message) == ("NodeRefused", True)


def test_an_evicted_pod_and_its_successor() -> None:
    evicted = api_pod("demo-api-a", phase="Failed", reason="Evicted", message="The node was low on resource: memory. ")
    status = Scenario(api=(evicted,)).status()
    assert state_of(status, "APIReady") == ("False", "Evicted")
    assert "low on resource: memory" in condition_of(status, "APIReady")["message"]
    successor = api_pod("demo-api-b", state=running(), phase="Running")
    assert state_of(Scenario(api=(evicted, successor)).status(), "APIReady") == ("False", "Loading")
    assert state_of(Scenario(api=(evicted, successor.changed(ready=True, state=None))).status(), "Degraded") == (
        "False",
        "NoFault",
    )


def test_a_preempted_pod() -> None:
    cause = "default-scheduler: preempting to accommodate a higher priority pod"
    target = condition("DisruptionTarget", "True", "PreemptionByScheduler", cause)
    reason, message = failure_of(Pod(terminating=True, state=running(), extra=(target,)))
    assert (reason, "higher priority" in message) == ("Evicted", True)


def test_a_node_that_does_not_respond() -> None:
    """The node controller sets the pod to not ready without a reason, and leaves its containers ready."""
    pod = Pod(containers_ready=True, unready_reason=None, started=True, state=running(), phase="Running")
    reason, message = failure_of(pod)
    assert (reason, "node-1" in message) == ("NodeLost", True)
    target = condition(
        "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
    )
    assert failure_of(pod.changed(terminating=True, extra=(target,)))[0] == "NodeLost"


def test_a_terminating_pod_does_not_count() -> None:
    status = Scenario(model=(Pod(ready=True, terminating=True),)).status()
    assert state_of(status, "ModelReady") == ("False", "Starting")
    assert status["model"] == "0/1"


def test_a_pod_without_a_status_is_starting() -> None:
    bare = {
        "kind": "Pod",
        "metadata": Pod().manifest()["metadata"] | {"creationTimestamp": ago(0)},
    }
    assert state_of(Scenario(model=(), other_pods=(bare,)).status(), "ModelReady") == ("False", "Starting")
