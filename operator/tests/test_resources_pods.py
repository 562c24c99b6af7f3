"""The pods of both tiers: restricted, writable where they must be, and as the podTemplate adds to them."""

import pytest
from made import container, env, mounts, pod
from rl_router_operator.resources.defaults import Defaults

BOTH = pytest.mark.parametrize("tier", ["model", "api"])


@BOTH
def test_who_it_runs_as_may_be_left_to_the_platform(tier):
    given = {"podTemplate": {"securityContext": {"runAsUser": None, "fsGroup": None}}}
    assert pod(tier, **{tier: given})["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@BOTH
def test_the_pod_template_adds_to_the_pod(tier):
    given = {
        "labels": {"team": "search"},
        "annotations": {"sidecar": "no"},
        "nodeSelector": {"pool": "big"},
        "tolerations": [{"key": "big", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 2}],
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "volumes": [{"name": "extra", "configMap": {"name": "theirs"}}],
        "volumeMounts": [{"name": "extra", "mountPath": "/extra", "readOnly": True}],
    }
    made = pod(tier, **{tier: {"podTemplate": given}})
    assert made["metadata"]["labels"]["team"] == "search"
    assert made["metadata"]["annotations"]["sidecar"] == "no"
    for field in (
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
        "runtimeClassName",
    ):
        assert made["spec"][field] == given[field]
    assert {"name": "extra", "configMap": {"name": "theirs"}} in made["spec"]["volumes"]
    assert given["volumeMounts"][0] in made["spec"]["containers"][0]["volumeMounts"]


@BOTH
def test_a_users_volume_takes_the_place_of_ours_of_that_name(tier):
    larger = {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "5Gi"}}]}
    assert mounts(tier, **{tier: {"podTemplate": larger}})["/tmp"]["emptyDir"] == {"sizeLimit": "5Gi"}
    names = [volume["name"] for volume in pod(tier, **{tier: {"podTemplate": larger}})["spec"]["volumes"]]
    assert len(names) == len(set(names))


@BOTH
def test_a_users_variable_takes_the_place_of_ours_of_that_name(tier):
    found = env(
        tier, Defaults(proxy={"HTTPS_PROXY": "http://proxy:3128"}), **{tier: {"env": [{"name": "HTTPS_PROXY"}]}}
    )
    assert found["HTTPS_PROXY"] is None


@BOTH
def test_an_empty_value_is_written_as_the_api_server_keeps_it(tier):
    assert {"name": "EMPTY"} in container(tier, **{tier: {"env": [{"name": "EMPTY", "value": ""}]}})["env"]


@BOTH
def test_the_operators_proxy_is_the_childrens(tier):
    found = env(tier, Defaults(proxy={"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.com"}))
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert found["NO_PROXY"].startswith(".example.com,")


def test_the_router_model_is_reached_without_the_proxy():
    assert "demo-model" in env("api", Defaults(proxy={"HTTP_PROXY": "http://proxy:3128"}))["NO_PROXY"].split(",")


@BOTH
def test_the_pull_policy_of_the_spec_goes_before_the_operators(tier):
    defaults = Defaults(image_pull_policy="Never")
    assert container(tier, defaults)["imagePullPolicy"] == "Never"
    assert container(tier, defaults, **{tier: {"imagePullPolicy": "Always"}})["imagePullPolicy"] == "Always"
    assert "imagePullPolicy" not in container(tier)


@BOTH
def test_resources_are_as_set(tier):
    given = {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    resources = container(tier, **{tier: {"resources": given}})["resources"]
    assert resources == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


@BOTH
def test_a_cpu_request_is_there_though_only_memory_was_set(tier):
    resources = container(tier, **{tier: {"resources": {"limits": {"memory": "2Gi"}}}})["resources"]
    assert set(resources["requests"]) == {"cpu"}


@BOTH
def test_a_limit_is_the_request_where_no_other_is_set(tier):
    """Kubernetes' own rule; a request of ours could be above it."""
    resources = container(tier, **{tier: {"resources": {"limits": {"cpu": "50m", "memory": "100Mi"}}}})["resources"]
    assert resources == {"limits": {"cpu": "50m", "memory": "100Mi"}}
