"""The router model's StatefulSet: its weights, its engine and its startup."""

import pytest
from rl_router_operator.resources.defaults import VLLM_VERSION

from fakes.cluster.children import children, container, env, mounts, pod

GPU = {"source": "hf://Qwen/Qwen2.5-7B-Instruct", "accelerator": {"count": 1}}


def flags(**model):
    """Returns the command line as a mapping from flag to value; None if a flag has no value."""
    arguments = container("model", model=model).get("args", [])
    parsed, last = {}, None
    for argument in arguments:
        if argument.startswith("--"):
            parsed[last := argument] = None
        else:
            parsed[last or "model"] = argument
    return parsed


@pytest.mark.parametrize(
    ("model", "image"),
    [
        ({}, "rl-router/model:"),
        ({"source": "hf://acme/router-GGUF/router.gguf"}, "rl-router/model:"),
        ({"source": "pvc://weights/router.gguf"}, "rl-router/model:"),
        ({"source": "pvc://weights/folder", "engine": "llamacpp"}, "rl-router/model:"),
        ({"source": "hf://acme/router"}, f"vllm/vllm-openai-cpu:{VLLM_VERSION}"),
        ({"source": "hf://acme/router", "accelerator": {}}, f"vllm/vllm-openai:{VLLM_VERSION}"),
        ({"source": "pvc://weights/router.gguf", "accelerator": {}}, f"vllm/vllm-openai:{VLLM_VERSION}"),
        ({"source": "hf://acme/router", "image": "mine:1"}, "mine:1"),
    ],
)
def test_the_weights_and_the_accelerator_determine_the_image(model, image):
    assert container("model", model=model)["image"].startswith(image)


def test_another_accelerator_is_requested_by_its_resource_name():
    model = {**GPU, "accelerator": {"resource": "amd.com/gpu", "count": 2}, "image": "rocm/vllm:1"}
    assert container("model", model=model)["resources"]["limits"] == {"amd.com/gpu": "2"}


def test_a_gpu_is_added_to_other_resources():
    model = {**GPU, "resources": {"requests": {"cpu": "8"}, "limits": {"memory": "64Gi"}}}
    assert container("model", model=model)["resources"] == {
        "requests": {"cpu": "8"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "1"},
    }


def test_the_tensor_parallel_size_is_the_number_of_accelerators_by_default():
    assert flags(**{**GPU, "accelerator": {"count": 4}})["--tensor-parallel-size"] == "4"
    assert flags(**{**GPU, "accelerator": {"count": 4}}, tensorParallelSize=2)["--tensor-parallel-size"] == "2"
    assert "--tensor-parallel-size" not in flags(**GPU)


def test_fields_of_the_spec_become_flags_of_vllm():
    arguments = flags(**GPU, maxModelLen=8192, gpuMemoryUtilization=0.8, toolCallParser="llama3_json", servedName="r")
    assert arguments["--max-model-len"] == "8192"
    assert arguments["--gpu-memory-utilization"] == "0.8"
    assert arguments["--tool-call-parser"] == "llama3_json"
    assert arguments["--served-model-name"] == "r"


def test_extra_arguments_are_last():
    assert container("model", model={**GPU, "extraArgs": ["--seed", "1"]})["args"][-2:] == ["--seed", "1"]


@pytest.mark.parametrize(
    ("source", "loaded", "served", "revision"),
    [
        ("hf://acme/router-8b", "acme/router-8b", "acme/router-8b", None),
        ("hf://acme/router-8b@v1.2", "acme/router-8b", "acme/router-8b", "v1.2"),
        ("hf://acme/router-8b@refs/pr/3", "acme/router-8b", "acme/router-8b", "refs/pr/3"),
        ("hf://acme/GGUF@main/q4/router.gguf", "acme/GGUF/q4/router.gguf", "router", "main"),
        ("pvc://claim/models/router-8b", "/var/lib/rl-router/model/models/router-8b", "router-8b", None),
        ("pvc://claim/models/router-8b/", "/var/lib/rl-router/model/models/router-8b", "router-8b", None),
        ("pvc://router-8b", "/var/lib/rl-router/model", "router-8b", None),
        ("file:///opt/router-8b", "/opt/router-8b", "router-8b", None),
    ],
)
def test_vllm_loads_the_source_and_serves_it_by_its_name(source, loaded, served, revision):
    arguments = flags(source=source, engine="vllm", image="mine:1")
    assert (arguments["model"], arguments["--served-model-name"], arguments.get("--revision")) == (
        loaded,
        served,
        revision,
    )


@pytest.mark.parametrize(
    ("source", "loaded", "served"),
    [
        ("hf://acme/GGUF@v1/router-Q4.gguf", "hf://acme/GGUF@v1/router-Q4.gguf", "router-Q4"),
        ("pvc://claim/big-00001-of-00003.gguf", "/var/lib/rl-router/model/big-00001-of-00003.gguf", "big"),
        ("file:///opt/router.gguf", "/opt/router.gguf", "router"),
    ],
)
def test_llama_cpp_gets_the_file_and_its_name(source, loaded, served):
    arguments = flags(source=source)
    assert (arguments["--model"], arguments["--served-model-name"]) == (loaded, served)


def test_the_bundled_model_needs_no_model_flag():
    assert "--model" not in flags()
    assert flags(maxModelLen=2048, servedName="tiny")["--max-model-len"] == "2048"
    assert flags(maxModelLen=2048, servedName="tiny")["--served-model-name"] == "tiny"


def test_vllm_on_a_cpu_gets_the_containers_limits():
    """vLLM would use all cores and memory of the node. /dev/shm counts as memory of the container."""
    model = {"source": "hf://a/b", "resources": {"limits": {"cpu": "3500m", "memory": "17Gi"}}}
    arguments = flags(**model)
    assert arguments["--dtype"] == "bfloat16"
    assert "--enforce-eager" in arguments
    variables = env("model", model=model)
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "4"


@pytest.mark.parametrize(
    ("resources", "kv_cache", "threads"),
    [
        ({"limits": {"cpu": "200m", "memory": "2Gi"}}, "1", "1"),
        ({"requests": {"cpu": 8, "memory": "33Gi"}}, "8", "8"),
        ({"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}, "4", "4"),
        ({}, "4", None),
    ],
)
def test_vllm_gets_a_cache_and_threads_for_other_resources_too(resources, kv_cache, threads):
    variables = env("model", model={"source": "hf://a/b", "resources": resources})
    assert (variables["VLLM_CPU_KVCACHE_SPACE"], variables.get("OMP_NUM_THREADS")) == (kv_cache, threads)


def test_vllm_on_a_gpu_has_no_cpu_settings():
    assert not {name for name in env("model", model=GPU) if name.startswith(("VLLM_CPU", "OMP"))}
    assert "--enforce-eager" not in flags(**GPU)


@pytest.mark.parametrize(("count", "size"), [(1, "1Gi"), (4, "4Gi")])
def test_shared_memory_has_1_gib_for_every_rank(count, size):
    volume = mounts("model", model={**GPU, "accelerator": {"count": count}})["/dev/shm"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": size}


def test_without_storage_the_pod_has_no_pvc_for_downloads():
    model = {"source": "hf://a/b"}
    assert "HF_HOME" not in env("model", model=model)
    assert "volumeClaimTemplates" not in children(model=model)["StatefulSet", "demo-model"]["spec"]


def test_the_pvc_has_the_class_and_access_modes_of_the_spec():
    storage = {"size": 1024, "className": "fast", "accessModes": ["ReadWriteMany"]}
    (pvc,) = children(model={"source": "hf://a/b", "storage": storage})["StatefulSet", "demo-model"]["spec"][
        "volumeClaimTemplates"
    ]
    assert pvc["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1024"}},
        "storageClassName": "fast",
    }


@pytest.mark.parametrize("source", ["pvc://models/router", "file:///opt/router"])
def test_with_local_weights_the_engine_is_offline(source):
    assert env("model", model={"source": source})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in env("model", model={"source": "hf://a/b"})


def test_the_startup_probe_allows_the_startup_timeout():
    probes = container("model", model={"startupTimeout": 61})
    startup = probes["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 61
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert probes[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_a_chat_template_in_the_spec_is_a_file_and_its_change_restarts_the_pods():
    def built(text):
        return children(model={**GPU, "chatTemplate": {"text": text}})

    first, second = built("{{ a }}"), built("{{ b }}")
    assert first["ConfigMap", "demo-model"]["data"] == {"chat-template.jinja": "{{ a }}"}
    assert flags(**GPU, chatTemplate={"text": "x"})["--chat-template"].endswith("/chat-template.jinja")
    templates = [refs["StatefulSet", "demo-model"]["spec"]["template"] for refs in (first, second)]
    assert templates[0] != templates[1]


def test_a_chat_template_in_a_configmap_is_mounted_from_it():
    model = {**GPU, "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "hermes.jinja"}}}
    assert ("ConfigMap", "demo-model") not in children(model=model)
    path = flags(**model)["--chat-template"]
    volume = mounts("model", model=model)[path.rpartition("/")[0]]["configMap"]
    assert volume == {"name": "templates", "items": [{"key": "hermes.jinja", "path": path.rpartition("/")[2]}]}


def model_hash(**spec):
    return children(**spec)["StatefulSet", "demo-model"]["metadata"]["annotations"]["rlrouter.dev/model-hash"]


def test_the_model_hash_changes_only_with_the_model():
    assert model_hash(model=GPU) != model_hash(model={**GPU, "maxModelLen": 4096})
    assert model_hash(model=GPU) == model_hash(
        model=GPU, api={"replicas": 3}, labels={"a": "b"}, suspend=True, routing={"maxTurns": 1}
    )


def test_an_explicit_default_does_not_change_the_model_hash():
    """The API server adds the defaults of a newer schema, which must not restart pods."""
    assert model_hash(model={**GPU, "replicas": 1, "toolCallParser": "hermes", "env": []}) == model_hash(model=GPU)


def test_the_pod_template_does_not_contain_the_model_hash():
    assert "annotations" not in pod("model", model=GPU)["metadata"]
    assert pod("model", model=GPU) == pod("model", model={**GPU, "replicas": 2})
