"""The operator's own settings: flags before variables, and errors that name the flag and the remedy."""

from __future__ import annotations

import pytest
from rl_router_operator.cluster.leader_election import LeaseTerms
from rl_router_operator.controller.options import read
from rl_router_operator.resources.defaults import Images


def test_left_out_everything_has_its_default():
    found = read([], {})
    assert (found.namespaces, found.port, found.lease) == ((), 8080, "rl-router-operator")
    assert found.defaults.operator_namespace == ""


def test_a_flag_goes_before_a_variable():
    environment = {"RL_ROUTER_OPERATOR_LOG_LEVEL": "warning", "RL_ROUTER_OPERATOR_REGISTRY": "registry.example"}
    found = read(["--log-level=debug"], environment)
    assert found.log_level == "debug"
    assert found.defaults.image("a") == "registry.example/a"


def test_a_pod_tells_its_name_and_namespace():
    found = read([], {"POD_NAME": "operator-1", "POD_NAMESPACE": "system"})
    assert (found.identity, found.own_namespace, found.defaults.operator_namespace) == (
        "operator-1",
        "system",
        "system",
    )


def test_a_lease_of_any_length_is_given_up_and_tried_for_in_time():
    terms = read(["--lease-seconds=30"], {}).lease_terms
    assert (terms.duration, terms.renew_deadline, terms.retry) == (30, 20, 4)
    assert read([], {}).lease_terms == LeaseTerms()


def test_lists_are_written_by_commas():
    found = read(["--watch-namespaces=a, b,", "--image-pull-secrets=x"], {})
    assert found.namespaces == ("a", "b")
    assert found.defaults.image_pull_secrets == ("x",)


def test_what_the_chart_passes_is_taken():
    flags = ["api-image", "model-image", "vllm-image", "vllm-cpu-image", "monitoring-namespace", "https-proxy"]
    found = read([f"--{flag}={flag}" for flag in flags], {}).defaults
    assert (found.images.api, found.images.llamacpp) == ("api-image", "model-image")
    assert (found.images.vllm, found.images.vllm_cpu) == ("vllm-image", "vllm-cpu-image")
    assert found.proxy == {"HTTPS_PROXY": "https-proxy"}


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--port=many", "--port: 'many' is not a number from 0 to 65535"),
        ("--workers=0", "--workers: '0' is not a number from 1"),
        ("--log-level=loud", "--log-level: 'loud' is not one of debug, info"),
        ("--image-pull-policy=Sometimes", "--image-pull-policy: 'Sometimes' is not one of Always"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_remedy(flag, words, capsys):
    with pytest.raises(SystemExit):
        read([flag], {})
    assert words in capsys.readouterr().err


def test_what_cannot_be_used_in_a_variable_is_named_by_the_variable(capsys):
    with pytest.raises(SystemExit):
        read([], {"RL_ROUTER_OPERATOR_PORT": "many"})
    assert "error: RL_ROUTER_OPERATOR_PORT: 'many' is not a number from 0 to 65535" in capsys.readouterr().err


def test_an_empty_image_or_pull_policy_leaves_the_default():
    found = read(["--api-image="], {"RL_ROUTER_OPERATOR_IMAGE_PULL_POLICY": ""}).defaults
    assert (found.images, found.image_pull_policy) == (Images(), None)
