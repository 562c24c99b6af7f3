"""Why pods are not ready: each reason with the words of whoever knows, and the same ones while nothing changes."""

from __future__ import annotations

import pytest
from rl_router_operator.objects.manifest import Manifest
from world import Pod, World, ago, api_pod, condition, crashed, ended, event, of, running, said, waiting, workload

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


def model_says(pod: Pod, *events: Manifest, claims: tuple[Manifest, ...] = ()) -> tuple[str, str]:
    """Why a router model of one pod is not ready, and in which words."""
    status = World(model=(pod,), events=events, claims=claims).status()
    found = of(status, "ModelReady")
    assert found["status"] == "False"
    return found["reason"], found["message"]


def test_no_node_has_a_gpu() -> None:
    pod = Pod(scheduled=False, extra=(condition("PodScheduled", "False", "Unschedulable", NO_GPU),))
    reason, message = model_says(pod)
    assert reason == "Unschedulable"
    assert "3 Insufficient nvidia.com/gpu" in message


def test_a_claim_of_a_class_that_is_absent() -> None:
    words = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    pod = Pod(
        claim="weights-demo-model-0",
        scheduled=False,
        extra=(condition("PodScheduled", "False", "Unschedulable", words),),
    )
    name = "weights-demo-model-0"
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": name, "uid": "c"}, "status": {"phase": "Pending"}}
    told = event("PersistentVolumeClaim", name, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')
    reason, message = model_says(pod, told, claims=(claim,))
    assert (reason, 'storageclass.storage.k8s.io "fast" not found' in message) == ("VolumeUnbound", True)
    bound = claim | {"status": {"phase": "Bound"}}
    assert model_says(pod, told, claims=(bound,))[0] == "Unschedulable"


def test_a_claim_with_weights_that_is_missing() -> None:
    words = '0/1 nodes are available: persistentvolumeclaim "gone" not found. not found'
    pod = Pod(scheduled=False, extra=(condition("PodScheduled", "False", "Unschedulable", words),))
    reason, message = model_says(pod)
    assert (reason, '"gone" not found' in message) == ("VolumeUnbound", True)


def test_a_secret_that_is_to_be_mounted_is_missing() -> None:
    told = event("Pod", "demo-model-0", "FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found')
    reason, message = model_says(Pod(state=waiting("ContainerCreating")), told)
    assert (reason, 'secret "s" not found' in message) == ("VolumeNotMounted", True)


def test_what_a_kubelet_said_of_an_earlier_pod_of_the_name_is_over() -> None:
    told = event("Pod", "demo-model-0", "FailedMount", "MountVolume.SetUp failed", uid="earlier")
    assert model_says(Pod(state=waiting("ContainerCreating")), told)[0] == "Starting"


def test_what_a_kubelet_has_ceased_to_say_is_over() -> None:
    old = event("Pod", "demo-model-0", "FailedMount", 'secret "a" not found', age=900)
    new = event("Pod", "demo-model-0", "FailedMount", 'secret "b" not found', age=10)
    message = model_says(Pod(state=waiting("ContainerCreating")), old, new)[1]
    assert ('"b"' in message, '"a"' in message) == (True, False)


def test_two_volumes_that_are_told_in_turn_are_one_message() -> None:
    first = event("Pod", "demo-model-0", "FailedMount", 'secret "a" not found', age=10)
    second = event("Pod", "demo-model-0", "FailedMount", 'secret "b" not found', age=20)
    pod = Pod(state=waiting("ContainerCreating"))
    assert model_says(pod, first, second) == model_says(pod, second, first)


def test_an_image_that_cannot_be_pulled_is_told_in_the_registrys_words() -> None:
    trying = Pod(state=waiting("ErrImagePull", PULL))
    resting = Pod(
        state=waiting("ImagePullBackOff", f'Back-off pulling image "registry.example/none:1": ErrImagePull: {PULL}')
    )
    reason, message = model_says(trying)
    assert (reason, "registry.example/none:1: not found" in message) == ("ImagePullFailed", True)
    assert model_says(resting) == model_says(trying)


def test_a_kubelet_that_gives_the_registrys_words_in_an_event_alone() -> None:
    resting = Pod(state=waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/none:1"'))
    told = event("Pod", "demo-model-0", "Failed", f'Failed to pull image "registry.example/none:1": {PULL}')
    assert model_says(resting, told) == model_says(Pod(state=waiting("ErrImagePull", PULL)))


def test_an_image_name_that_is_none() -> None:
    words = 'Failed to apply default image tag "UPPER/Case:1:2": couldn\'t parse image name "UPPER/Case:1:2"'
    reason, message = model_says(Pod(state=waiting("InvalidImageName", words)))
    assert (reason, "UPPER/Case:1:2" in message) == ("ImagePullFailed", True)


def test_the_hubs_token_is_a_secret_that_is_missing() -> None:
    reason, message = model_says(Pod(state=waiting("CreateContainerConfigError", 'secret "hub" not found')))
    assert (reason, 'secret "hub" not found' in message) == ("ContainerConfigError", True)


def test_an_image_without_the_program() -> None:
    pod = Pod(state=waiting("RunContainerError", START), last=ended(START, 128, "StartError"))
    reason, message = model_says(pod)
    assert (reason, 'exec: "/no/such"' in message) == ("ContainerNotStarted", True)
    assert model_says(Pod(**crashed(START, 128, "StartError"))) == (reason, message)


def test_a_pod_without_a_network() -> None:
    words = 'Failed to create pod sandbox: rpc error: failed to setup network for sandbox "{}": plugin is missing'
    pod = Pod(state=waiting("ContainerCreating"))
    told = [event("Pod", "demo-model-0", "FailedCreatePodSandBox", words.format(each * 64)) for each in "ab"]
    reason, message = model_says(pod, told[0])
    assert (reason, "plugin is missing" in message) == ("ContainerNotStarted", True)
    assert model_says(pod, told[1]) == (reason, message)


def test_a_crash_is_told_by_the_line_that_names_an_error_whatever_came_last() -> None:
    log = "Traceback (most recent call last):\nValueError: no good\nloading\n"
    reason, message = model_says(Pod(**crashed(log)))
    assert (reason, "exit code 1: ValueError: no good" in message) == ("CrashLooping", True)
    assert "what a log says" in model_says(Pod(**crashed("what a log says\n")))[1]
    assert "exit code 7" in model_says(Pod(**crashed(None, 7)))[1]


def test_an_engines_own_prefix_and_its_summary_are_left_out() -> None:
    log = (
        "(EngineCore_DP0 pid=87) ERROR 11-24 21:24:07 [core.py:700] ValueError: unknown quantization\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert "exit code 1: ValueError: unknown quantization." in model_says(Pod(**crashed(log)))[1]


def test_the_apis_refusal_of_its_configuration_is_told() -> None:
    pod = api_pod(**crashed("error: targets.0.name: `router` is taken; choose another\n", 2))
    status = World(api=(pod,)).status()
    assert said(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "targets.0.name: `router` is taken" in of(status, "APIReady")["message"]
    logged = api_pod(**crashed('{"time":"2026-11-24T12:00:00","level":"error","message":"no disk"}\n'))
    assert "error: no disk" in of(World(api=(logged,)).status(), "APIReady")["message"]


def test_a_crash_is_told_alike_in_every_phase_of_its_loop() -> None:
    """Ended, waiting to be started, running again: the reason would flap with each."""
    again = {"last": ended("ValueError: no"), "restarts": 3, "phase": "Running"}
    phases = [Pod(**crashed("ValueError: no")), Pod(state=ended("ValueError: no", age=0), **again)]
    phases += [Pod(state=running(5), **again), Pod(state=running(5), started=True, **again)]
    assert len({model_says(each) for each in phases}) == 1


def test_request_ids_ports_and_times_make_no_new_message() -> None:
    log = "OSError: 503 (Request ID: {0}) read tcp 10.0.0.7:{1}->10.0.0.1:443: reset at 2026-11-24T12:00:0{2}Z pid={1}"
    assert len({model_says(Pod(**crashed(log.format(f"Root=1-{n}", 40000 + n, n))))[1] for n in range(5)}) == 1


def test_a_container_that_runs_again_for_long_is_no_longer_crashing() -> None:
    old = ended("ValueError: no", age=5000)
    pod = Pod(age=6000, state=running(900), started=True, last=old, restarts=1, phase="Running")
    assert model_says(pod)[0] == "NotReady"


def test_out_of_memory() -> None:
    reason, message = model_says(Pod(**crashed(None, 137, "OOMKilled")))
    assert (reason, "resources.limits.memory" in message) == ("OutOfMemory", True)


@pytest.mark.parametrize(
    ("log", "reason", "words"),
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
def test_what_an_engine_says_at_its_end(log: str, reason: str, words: str) -> None:
    found, message = model_says(Pod(**crashed(f"INFO 11-24 12:00:00 [api_server.py:1] starting\n{log}\n")))
    assert (found, words in message) == (reason, True), message
    assert "Root=1-a" not in message


def test_an_upstreams_401_in_the_apis_log_is_not_the_hubs() -> None:
    pod = api_pod(**crashed("error: 401 Client Error"))
    assert said(World(api=(pod,)).status(), "APIReady") == ("False", "CrashLooping")


def test_loading_says_how_long_it_may_take() -> None:
    reason, message = model_says(Pod(state=running(), phase="Running"))
    assert (reason, "1800 s" in message) == ("Loading", True)


def test_a_model_that_was_not_loaded_in_time() -> None:
    world = World(spec={"model": {"startupTimeout": 600}}, model=(Pod(**crashed("loading 3/7", 137, lasted=600)),))
    status = world.status()
    assert said(status, "ModelReady") == ("False", "StartupTimeout")
    assert "600 s" in of(status, "ModelReady")["message"]
    assert "loading 3/7" in of(status, "ModelReady")["message"]
    killed_before = World(model=(Pod(**crashed("loading 3/7", 137, lasted=600)),)).status()
    assert said(killed_before, "ModelReady") == ("False", "CrashLooping")


def test_a_container_that_is_ready_no_more() -> None:
    assert model_says(Pod(state=running(), started=True, phase="Running", lost=10))[0] == "NotReady"


def test_a_container_that_was_just_started_is_no_fault_before_its_first_readiness() -> None:
    loaded = Pod(age=1500, state=running(1400), started=True, phase="Running")
    assert model_says(loaded)[0] == "Loading"
    young, old = (api_pod(age=90, state=running(age), started=True, phase="Running") for age in (5, 80))
    assert said(World(api=(young,)).status(), "APIReady") == ("False", "Starting")
    assert said(World(api=(old,)).status(), "APIReady") == ("False", "NotReady")


def test_a_sidecar_that_fails_is_named() -> None:
    pod = Pod(state=waiting("PodInitializing")).manifest()
    pod["status"]["initContainerStatuses"] = [
        {"name": "done", "ready": True, "state": {"terminated": {"exitCode": 0}}},
        {"name": "mesh", "ready": False, "state": waiting("ErrImagePull", PULL)},
    ]
    status = World(model=(), others=(pod,)).status()
    assert said(status, "ModelReady") == ("False", "ImagePullFailed")
    assert "container mesh" in of(status, "ModelReady")["message"]


def test_pods_that_pod_security_refuses_are_explained_by_the_statefulsets_events() -> None:
    words = (
        f'create Pod demo-model-0 in StatefulSet demo-model failed error: pods "demo-model-0" is forbidden: {STRICT}'
    )
    told = event("StatefulSet", "demo-model", "FailedCreate", words)
    status = World(model=(), events=(told,)).status()
    assert said(status, "ModelReady") == ("False", "PodRefused")
    assert STRICT in of(status, "ModelReady")["message"]


def test_pods_that_a_quota_refuses_are_explained_by_the_deployments_condition() -> None:
    words = 'pods "demo-api-5d55-{}" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=1, limited: cpu=1'
    messages = set()
    for name in ("tgdqb", "b9tzg"):
        failure = condition("ReplicaFailure", "True", "FailedCreate", words.format(name))
        status = World(api=(), children=(workload("model"), workload("api", 1, failure))).status()
        assert said(status, "APIReady") == ("False", "PodRefused")
        messages.add(of(status, "APIReady")["message"])
    assert "exceeded quota: small" in messages.pop()
    assert not messages


def test_a_replica_sets_event_explains_where_the_deployment_says_nothing() -> None:
    words = '(combined from similar events): Error creating: pods "demo-api-5d55-b9tzg" is forbidden: no'
    told = event("ReplicaSet", "demo-api-5d55", "FailedCreate", words)
    status = World(api=(), events=(told,)).status()
    assert said(status, "APIReady") == ("False", "PodRefused")
    foreign = event("ReplicaSet", "demo-api-other-5d55", "FailedCreate", words)
    assert said(World(api=(), events=(foreign,)).status(), "APIReady") == ("False", "Starting")


def test_a_refusal_that_is_no_longer_repeated_is_over() -> None:
    told = event("StatefulSet", "demo-model", "FailedCreate", "no", age=3000)
    assert said(World(model=(), events=(told,)).status(), "ModelReady") == ("False", "Starting")


def test_a_node_that_refuses_its_pod() -> None:
    words = "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu"
    reason, message = model_says(Pod(phase="Failed", reason="UnexpectedAdmissionError", message=words))
    assert (reason, words in message) == ("NodeRefused", True)


def test_an_evicted_pod_and_its_successor() -> None:
    evicted = api_pod("demo-api-a", phase="Failed", reason="Evicted", message="The node was low on resource: memory. ")
    status = World(api=(evicted,)).status()
    assert said(status, "APIReady") == ("False", "Evicted")
    assert "low on resource: memory" in of(status, "APIReady")["message"]
    successor = api_pod("demo-api-b", state=running(), phase="Running")
    assert said(World(api=(evicted, successor)).status(), "APIReady") == ("False", "Loading")
    assert said(World(api=(evicted, successor.but(ready=True, state=None))).status(), "Degraded") == (
        "False",
        "NoFault",
    )


def test_a_pod_that_is_taken_for_another() -> None:
    words = "default-scheduler: preempting to accommodate a higher priority pod"
    target = condition("DisruptionTarget", "True", "PreemptionByScheduler", words)
    reason, message = model_says(Pod(going=True, state=running(), extra=(target,)))
    assert (reason, "higher priority" in message) == ("Evicted", True)


def test_a_node_that_went_silent() -> None:
    """The node controller takes the pod's readiness away, gives no reason and leaves its containers' as they were."""
    pod = Pod(containers_ready=True, unready_reason=None, started=True, state=running(), phase="Running")
    reason, message = model_says(pod)
    assert (reason, "node-1" in message) == ("NodeLost", True)
    target = condition(
        "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
    )
    assert model_says(pod.but(going=True, extra=(target,)))[0] == "NodeLost"


def test_a_pod_that_is_being_replaced_does_not_count() -> None:
    status = World(model=(Pod(ready=True, going=True),)).status()
    assert said(status, "ModelReady") == ("False", "Starting")
    assert status["model"] == "0/1"


def test_a_pod_that_is_quite_new() -> None:
    bare = {
        "kind": "Pod",
        "metadata": Pod().manifest()["metadata"] | {"creationTimestamp": ago(0)},
    }
    assert said(World(model=(), others=(bare,)).status(), "ModelReady") == ("False", "Starting")
