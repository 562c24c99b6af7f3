"""The operator's settings from flags and environment variables, and the errors for invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes.aio.config import ConfigException
from rl_router_operator.cluster.lease import LeaseTerms
from rl_router_operator.cluster.transport import connection
from rl_router_operator.controller.options import read
from rl_router_operator.resources.defaults import Images


def test_every_setting_has_a_default():
    settings = read([], {})
    assert (settings.namespaces, settings.port, settings.lease) == ((), 8080, "rl-router-operator")
    assert settings.defaults.operator_namespace == ""


def test_a_flag_overrides_a_variable():
    environment = {"RL_ROUTER_OPERATOR_LOG_LEVEL": "warning", "RL_ROUTER_OPERATOR_REGISTRY": "registry.example"}
    settings = read(["--log-level=debug"], environment)
    assert settings.log_level == "debug"
    assert settings.defaults.image("a") == "registry.example/a"


def test_the_identity_and_namespace_come_from_the_pods_variables():
    settings = read([], {"POD_NAME": "operator-1", "POD_NAMESPACE": "system"})
    assert (settings.identity, settings.own_namespace, settings.defaults.operator_namespace) == (
        "operator-1",
        "system",
        "system",
    )


def test_the_renew_deadline_and_retry_interval_follow_from_the_lease_duration():
    terms = read(["--lease-seconds=30"], {}).lease_terms
    assert (terms.duration, terms.renew_deadline, terms.retry) == (30, 20, 4)
    assert read([], {}).lease_terms == LeaseTerms()


def test_lists_are_separated_by_commas():
    settings = read(["--watch-namespaces=a, b,", "--image-pull-secrets=x"], {})
    assert settings.namespaces == ("a", "b")
    assert settings.defaults.image_pull_secrets == ("x",)


def test_the_flags_that_the_chart_passes_are_accepted():
    flags = ["api-image", "model-image", "vllm-image", "vllm-cpu-image", "monitoring-namespace", "https-proxy"]
    defaults = read([f"--{flag}={flag}" for flag in flags], {}).defaults
    assert (defaults.images.api, defaults.images.llamacpp) == ("api-image", "model-image")
    assert (defaults.images.vllm, defaults.images.vllm_cpu) == ("vllm-image", "vllm-cpu-image")
    assert defaults.proxy == {"HTTPS_PROXY": "https-proxy"}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--port=many", "--port: 'many' is not a number from 0 to 65535"),
        ("--workers=0", "--workers: '0' is not a number from 1"),
        ("--log-level=loud", "--log-level: 'loud' is not one of debug, info"),
        ("--watch-namespaces=", "--watch-namespaces: '' names no namespace. Omit the option to watch all namespaces"),
        ("--watch-namespaces=, ,", "--watch-namespaces: ', ,' names no namespace"),
        ("--image-pull-policy=Sometimes", "--image-pull-policy: 'Sometimes' is not one of Always"),
    ],
)
def test_an_invalid_flag_is_reported_with_the_valid_values(flag, message, capsys):
    with pytest.raises(SystemExit):
        read([flag], {})
    assert message in capsys.readouterr().err


def test_a_variable_without_a_namespace_is_reported_because_all_namespaces_would_be_watched(capsys):
    with pytest.raises(SystemExit):
        read([], {"RL_ROUTER_OPERATOR_WATCH_NAMESPACES": ""})
    assert "RL_ROUTER_OPERATOR_WATCH_NAMESPACES: '' names no namespace" in capsys.readouterr().err


def test_an_invalid_variable_is_reported_by_its_name(capsys):
    with pytest.raises(SystemExit):
        read([], {"RL_ROUTER_OPERATOR_PORT": "many"})
    assert "error: RL_ROUTER_OPERATOR_PORT: 'many' is not a number from 0 to 65535" in capsys.readouterr().err


def test_an_empty_image_or_pull_policy_means_the_default():
    defaults = read(["--api-image="], {"RL_ROUTER_OPERATOR_IMAGE_PULL_POLICY": ""}).defaults
    assert (defaults.images, defaults.image_pull_policy) == (Images(), None)


@pytest.mark.parametrize(
    "content", ["", "- a\n", "a: [\n", "clusters: 5\n", "kind: Config\ncurrent-context: x\n", "\0"]
)
async def test_an_invalid_kubeconfig_file_is_one_error_that_names_the_file(content: str, tmp_path: Path):
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    with pytest.raises(ConfigException) as raised:
        await connection(str(file))
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)


async def test_an_invalid_port_in_a_kubeconfig_is_one_error_that_names_the_address(tmp_path: Path):
    file = tmp_path / "kubeconfig"
    file.write_text(
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:99999'}}]\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\ncurrent-context: a\n"
    )
    with pytest.raises(ConfigException, match=r"http://127\.0\.0\.1:99999 is not valid"):
        await connection(str(file))
