"""The pod templates of both tiers, and what the spec can add to them."""

import pytest
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.children import container, env, mounts, pod

each_tier = pytest.mark.parametrize("tier", ["model", "api"])


@each_tier
def test_the_platform_may_choose_the_user(tier):
    settings = {"podTemplate": {"securityContext": {"runAsUser": None, "fsGroup": None}}}
    assert pod(tier, **{tier: settings})["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@each_tier
def test_the_pod_template_of_the_spec_is_added_to_the_pod(tier):
    additions = {
        "labels": {"team": "search"},
        "annotations": {"sidecar": "no"},
        "nodeSelector": {"pool": "big"},
        "tolerations": [{"key": "big", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 2}],
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "volumes": [{"name": "extra", "configMap": {"name": "other"}}],
        "volumeMounts": [{"name": "extra", "mountPath": "/extra", "readOnly": True}],
    }
    built = pod(tier, **{tier: {"podTemplate": additions}})
    assert built["metadata"]["labels"]["team"] == "search"
    assert built["metadata"]["annotations"]["sidecar"] == "no"
    for field in (
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
        "runtimeClassName",
    ):
        assert built["spec"][field] == additions[field]
    assert {"name": "extra", "configMap": {"name": "other"}} in built["spec"]["volumes"]
    assert additions["volumeMounts"][0] in built["spec"]["containers"][0]["volumeMounts"]


@each_tier
def test_a_volume_of_the_spec_replaces_the_operators_volume_of_that_name(tier):
    larger = {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "5Gi"}}]}
    assert mounts(tier, **{tier: {"podTemplate": larger}})["/tmp"]["emptyDir"] == {"sizeLimit": "5Gi"}
    names = [volume["name"] for volume in pod(tier, **{tier: {"podTemplate": larger}})["spec"]["volumes"]]
    assert len(names) == len(set(names))


@each_tier
def test_a_variable_of_the_spec_replaces_the_operators_variable_of_that_name(tier):
    variables = env(
        tier, Defaults(proxy={"HTTPS_PROXY": "http://proxy:3128"}), **{tier: {"env": [{"name": "HTTPS_PROXY"}]}}
    )
    assert variables["HTTPS_PROXY"] is None


@each_tier
def test_an_empty_value_is_omitted_as_the_api_server_does(tier):
    assert {"name": "EMPTY"} in container(tier, **{tier: {"env": [{"name": "EMPTY", "value": ""}]}})["env"]


@each_tier
def test_the_pods_use_the_operators_proxy(tier):
    variables = env(tier, Defaults(proxy={"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.com"}))
    assert variables["HTTPS_PROXY"] == "http://proxy:3128"
    assert variables["NO_PROXY"].startswith(".example.com,")


def test_the_api_reaches_the_router_model_without_the_proxy():
    assert "demo-model" in env("api", Defaults(proxy={"HTTP_PROXY": "http://proxy:3128"}))["NO_PROXY"].split(",")


@each_tier
def test_the_pull_policy_of_the_spec_overrides_the_operators(tier):
    defaults = Defaults(image_pull_policy="Never")
    assert container(tier, defaults)["imagePullPolicy"] == "Never"
    assert container(tier, defaults, **{tier: {"imagePullPolicy": "Always"}})["imagePullPolicy"] == "Always"
    assert "imagePullPolicy" not in container(tier)


@each_tier
def test_resources_of_the_spec_become_strings(tier):
    configured = {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    resources = container(tier, **{tier: {"resources": configured}})["resources"]
    assert resources == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


@each_tier
def test_a_cpu_request_is_added_if_only_memory_is_set(tier):
    resources = container(tier, **{tier: {"resources": {"limits": {"memory": "2Gi"}}}})["resources"]
    assert set(resources["requests"]) == {"cpu"}


@each_tier
def test_no_request_is_added_if_there_is_a_limit(tier):
    """Kubernetes then uses the limit as the request. A default request could exceed it."""
    resources = container(tier, **{tier: {"resources": {"limits": {"cpu": "50m", "memory": "100Mi"}}}})["resources"]
    assert resources == {"limits": {"cpu": "50m", "memory": "100Mi"}}
