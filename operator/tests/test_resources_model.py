"""The router model's StatefulSet: where its weights come from, what serves them, and what it waits for."""

import pytest
from made import children, container, env, mounts, pod
from rl_router_operator.resources.defaults import VLLM_VERSION

GPU = {"source": "hf://Qwen/Qwen2.5-7B-Instruct", "accelerator": {"count": 1}}


def flags(**model):
    """The command line as a mapping: `--flag value` by its flag, a switch to None."""
    arguments = container("model", model=model).get("args", [])
    found, last = {}, None
    for argument in arguments:
        if argument.startswith("--"):
            found[last := argument] = None
        else:
            found[last or "model"] = argument
    return found


@pytest.mark.parametrize(
    ("model", "engine"),
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
def test_the_engine_goes_with_the_weights_and_the_accelerator(model, engine):
    assert container("model", model=model)["image"].startswith(engine)


def test_pods_of_the_model_are_made_and_replaced_together():
    """A corrected template then replaces a pod that never became ready."""
    spec = children(model={"replicas": 3})["StatefulSet", "demo-model"]["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"], spec["serviceName"]) == (3, "Parallel", "demo-model-pods")


def test_a_gpu_is_a_limit():
    assert container("model", model=GPU)["resources"] == {"limits": {"nvidia.com/gpu": "1"}}


def test_another_accelerator_is_asked_for_by_its_own_name():
    model = {**GPU, "accelerator": {"resource": "amd.com/gpu", "count": 2}, "image": "rocm/vllm:1"}
    assert container("model", model=model)["resources"]["limits"] == {"amd.com/gpu": "2"}


def test_a_gpu_and_other_resources_go_together():
    model = {**GPU, "resources": {"requests": {"cpu": "8"}, "limits": {"memory": "64Gi"}}}
    assert container("model", model=model)["resources"] == {
        "requests": {"cpu": "8"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "1"},
    }


def test_accelerators_share_the_model():
    assert flags(**{**GPU, "accelerator": {"count": 4}})["--tensor-parallel-size"] == "4"
    assert flags(**{**GPU, "accelerator": {"count": 4}}, tensorParallelSize=2)["--tensor-parallel-size"] == "2"
    assert "--tensor-parallel-size" not in flags(**GPU)


def test_vllm_calls_tools_and_lets_running_requests_finish():
    found = flags(**GPU)
    assert found["--shutdown-timeout"] == "30"
    assert found["--tool-call-parser"] == "hermes"
    assert "--enable-auto-tool-choice" in found
    assert (found["--host"], found["--port"]) == ("0.0.0.0", "8000")


def test_what_the_spec_sets_is_told_to_vllm():
    found = flags(**GPU, maxModelLen=8192, gpuMemoryUtilization=0.8, toolCallParser="llama3_json", servedName="r")
    assert found["--max-model-len"] == "8192"
    assert found["--gpu-memory-utilization"] == "0.8"
    assert found["--tool-call-parser"] == "llama3_json"
    assert found["--served-model-name"] == "r"


def test_further_arguments_come_last():
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
def test_weights_are_loaded_from_their_source_and_served_by_their_name(source, loaded, served, revision):
    found = flags(source=source, engine="vllm", image="mine:1")
    assert (found["model"], found["--served-model-name"], found.get("--revision")) == (loaded, served, revision)


@pytest.mark.parametrize(
    ("source", "loaded", "served"),
    [
        ("hf://acme/GGUF@v1/router-Q4.gguf", "hf://acme/GGUF@v1/router-Q4.gguf", "router-Q4"),
        ("pvc://claim/big-00001-of-00003.gguf", "/var/lib/rl-router/model/big-00001-of-00003.gguf", "big"),
        ("file:///opt/router.gguf", "/opt/router.gguf", "router"),
    ],
)
def test_llama_cpp_is_told_where_the_file_is(source, loaded, served):
    found = flags(source=source)
    assert (found["--model"], found["--served-model-name"]) == (loaded, served)


def test_the_bundled_model_is_served_without_a_word_but_the_limits_of_what_was_asked():
    assert "--model" not in flags()
    assert flags(maxModelLen=2048, servedName="tiny")["--max-model-len"] == "2048"
    assert flags(maxModelLen=2048, servedName="tiny")["--served-model-name"] == "tiny"


def test_vllm_on_a_cpu_is_told_what_the_container_may_use():
    """It looks at the node; bound to cores it would take them all. /dev/shm counts as the container's memory."""
    model = {"source": "hf://a/b", "resources": {"limits": {"cpu": "3500m", "memory": "17Gi"}}}
    found = flags(**model)
    assert found["--dtype"] == "bfloat16"
    assert "--enforce-eager" in found
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
def test_less_certain_limits_still_give_vllm_a_cache_and_threads(resources, kv_cache, threads):
    variables = env("model", model={"source": "hf://a/b", "resources": resources})
    assert (variables["VLLM_CPU_KVCACHE_SPACE"], variables.get("OMP_NUM_THREADS")) == (kv_cache, threads)


def test_vllm_on_a_gpu_gets_none_of_the_cpus_settings():
    assert not {name for name in env("model", model=GPU) if name.startswith(("VLLM_CPU", "OMP"))}
    assert "--enforce-eager" not in flags(**GPU)


def test_a_user_whom_the_image_does_not_know_has_a_name():
    """torch's compiler asks for it."""
    assert env("model", model=GPU)["USER"]


@pytest.mark.parametrize(("count", "size"), [(1, "1Gi"), (4, "4Gi")])
def test_shared_memory_is_enough_for_every_rank(count, size):
    found = mounts("model", model={**GPU, "accelerator": {"count": count}})["/dev/shm"]
    assert found["emptyDir"] == {"medium": "Memory", "sizeLimit": size}


def test_shared_memory_is_there_on_a_cpu_too():
    assert mounts("model")["/dev/shm"]["emptyDir"]["sizeLimit"] == "1Gi"


def test_downloads_are_kept_on_the_claim():
    model = {"source": "hf://a/b", "storage": {"size": "40Gi"}}
    assert mounts("model", model=model)[env("model", model=model)["HF_HOME"]]["name"] == "weights"


def test_without_storage_downloads_are_in_the_pod():
    model = {"source": "hf://a/b"}
    assert "HF_HOME" not in env("model", model=model)
    assert "volumeClaimTemplates" not in children(model=model)["StatefulSet", "demo-model"]["spec"]


def test_a_claim_is_of_the_class_and_the_access_that_was_asked_for():
    storage = {"size": 1024, "className": "fast", "accessModes": ["ReadWriteMany"]}
    (claim,) = children(model={"source": "hf://a/b", "storage": storage})["StatefulSet", "demo-model"]["spec"][
        "volumeClaimTemplates"
    ]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1024"}},
        "storageClassName": "fast",
    }


def test_a_users_claim_is_mounted_read_only():
    mount = mounts("model", model={"source": "pvc://models/router"})["/var/lib/rl-router/model"]
    assert mount["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert mount["readOnly"] is True


@pytest.mark.parametrize("source", ["pvc://models/router", "file:///opt/router"])
def test_weights_that_are_there_never_send_anybody_to_the_hub(source):
    assert env("model", model={"source": source})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in env("model", model={"source": "hf://a/b"})


def test_the_hubs_token_comes_from_its_secret_alone():
    model = {"source": "hf://a/b", "hfTokenSecretRef": {"name": "hub", "key": "token"}}
    assert env("model", model=model)["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token"}}


def test_nothing_kills_a_model_that_is_still_loading():
    found = container("model", model={"startupTimeout": 61})
    startup = found["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 61
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert found[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_a_chat_template_in_the_spec_is_a_file_whose_change_restarts_the_engine():
    def made(text):
        return children(model={**GPU, "chatTemplate": {"text": text}})

    first, second = made("{{ a }}"), made("{{ b }}")
    assert first["ConfigMap", "demo-model"]["data"] == {"chat-template.jinja": "{{ a }}"}
    assert flags(**GPU, chatTemplate={"text": "x"})["--chat-template"].endswith("/chat-template.jinja")
    templates = [each["StatefulSet", "demo-model"]["spec"]["template"] for each in (first, second)]
    assert templates[0] != templates[1]


def test_a_chat_template_of_the_users_own_configmap_is_mounted_from_there():
    model = {**GPU, "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "hermes.jinja"}}}
    assert ("ConfigMap", "demo-model") not in children(model=model)
    path = flags(**model)["--chat-template"]
    volume = mounts("model", model=model)[path.rpartition("/")[0]]["configMap"]
    assert volume == {"name": "templates", "items": [{"key": "hermes.jinja", "path": path.rpartition("/")[2]}]}


def model_hash(**spec):
    return children(**spec)["StatefulSet", "demo-model"]["metadata"]["annotations"]["rlrouter.dev/model-hash"]


def test_the_models_hash_changes_with_the_model_alone():
    assert model_hash(model=GPU) != model_hash(model={**GPU, "maxModelLen": 4096})
    assert model_hash(model=GPU) == model_hash(
        model=GPU, api={"replicas": 3}, labels={"a": "b"}, suspend=True, routing={"maxTurns": 1}
    )


def test_a_default_that_is_written_out_is_no_change_of_the_model():
    """The API server writes them out when the schema gains one, and no pod may restart for that."""
    assert model_hash(model={**GPU, "replicas": 1, "toolCallParser": "hermes", "env": []}) == model_hash(model=GPU)


def test_the_pods_do_not_change_with_the_models_hash():
    assert "annotations" not in pod("model", model=GPU)["metadata"]
    assert pod("model", model=GPU) == pod("model", model={**GPU, "replicas": 2})
