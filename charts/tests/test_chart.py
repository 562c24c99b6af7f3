"""The objects and notes that the chart renders from its values."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from rendered import CHART, NAMESPACE, OLDEST, ROOT, error, helm, needs_helm, notes, of_kind, one, pods, render
from rl_router_api.version import __version__
from rl_router_operator import rbac
from rl_router_operator.controller import options
from rl_router_operator.objects.routerdeployment import read_spec
from rl_router_operator.resources.defaults import Defaults, Images

pytestmark = needs_helm
FIRST_ROUTER = {"routerDeployment": {"create": True}}
EVERYTHING = {
    **FIRST_ROUTER,
    "replicaCount": 2,
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "prometheus": {"servicemonitor": {"enabled": True}},
}


def test_the_generated_parts_of_the_chart_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts" / "chart", "--check"], capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"watchNamespaces": ["a"]}])
def test_helm_lint_reports_nothing(values: object) -> None:
    lint = helm("lint", "--strict", CHART, values=values)
    assert lint.returncode == 0, lint.stdout


def test_by_default_the_chart_has_an_operator_and_no_router() -> None:
    objects = render()
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"rl-router/operator:{__version__}"
    assert not of_kind(objects, "RouterDeployment")


def test_an_unsupported_kubernetes_version_is_rejected() -> None:
    assert "requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29" in error({}, "1.29")


def test_the_guides_helm_template_command_sets_the_kubernetes_version() -> None:
    """Otherwise Helm 3.14 renders for 1.29, which the chart rejects."""
    guide = (ROOT / "docs" / "install.md").read_text("utf-8")
    (command,) = re.findall(r"`(helm template [^`]*)`", guide)
    assert f"--kube-version {OLDEST}" in command


def test_the_crd_is_neither_a_template_nor_a_hook() -> None:
    assert not of_kind(render(EVERYTHING), "CustomResourceDefinition")
    shown = helm("show", "crds", CHART).stdout
    assert "name: routerdeployments.rlrouter.dev" in shown


def test_a_hook_with_the_operators_image_applies_the_crd_before_an_upgrade() -> None:
    job = one(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"rl-router/operator:{__version__}"


def test_the_hook_for_the_crd_can_be_disabled() -> None:
    assert not of_kind(render({"crds": {"upgrade": False}}), "Job")


HOOKS = pytest.mark.parametrize("kind", ["Job", "Pod"])


@HOOKS
def test_the_pods_of_hooks_have_the_settings_of_the_operators_pods(kind: str) -> None:
    values = {
        "podLabels": {"team": "ml"},
        "podAnnotations": {"note": "a"},
        "resources": {"limits": {"cpu": "500m"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry-key"}],
    }
    metadata, spec = _pod(kind, values)
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"]["note"] == "a"
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "512Mi"}
    assert spec["tolerations"] == values["tolerations"]
    assert spec["imagePullSecrets"] == values["imagePullSecrets"]


@HOOKS
def test_the_pods_of_hooks_can_differ_from_the_operators_pods(kind: str) -> None:
    key, resources = "sidecar.istio.io/inject", {"requests": {"cpu": "50m"}}
    values = {
        "commonLabels": {key: "true"},
        "podLabels": {key: "true"},
        "podAnnotations": {key: "true", "note": "a"},
    }
    changed = {"podLabels": {key: "false"}, "podAnnotations": {key: "false"}, "resources": resources}
    metadata, spec = _pod(kind, {**values, "hooks": changed})
    assert metadata["labels"][key] == metadata["annotations"][key] == "false"
    assert metadata["annotations"]["note"] == "a"
    assert spec["containers"][0]["resources"] == resources
    operator = one(render({**values, "hooks": changed}), "Deployment")["spec"]["template"]["metadata"]
    assert operator["labels"][key] == operator["annotations"][key] == "true"


def _pod(kind: str, values: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Returns the metadata and the spec of the pod of a hook."""
    manifest = one(render({**FIRST_ROUTER, **values}), kind)
    template = manifest["spec"]["template"] if kind == "Job" else manifest
    return template["metadata"], template["spec"]


def test_the_registry_is_prepended_to_every_default_image() -> None:
    objects = render({"image": {"registry": "registry.example.com/team/"}, **FIRST_ROUTER})
    images = {container["image"] for pod in pods(objects) for container in pod["containers"]}
    assert images == {f"registry.example.com/team/rl-router/operator:{__version__}"}
    assert "--registry=registry.example.com/team/" in _arguments(objects)


def test_a_digest_takes_precedence_over_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    (container,) = one(render({"image": {"tag": "x", "digest": digest}}), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == f"rl-router/operator@{digest}"


def test_every_pod_has_the_pull_secrets_and_meets_pod_security_restricted() -> None:
    specs = list(pods(render({"imagePullSecrets": [{"name": "registry-key"}], **EVERYTHING})))
    assert len(specs) == 3
    for pod in specs:
        assert pod["imagePullSecrets"] == [{"name": "registry-key"}]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_the_operator_has_a_cluster_role_with_its_own_rules() -> None:
    objects = render()
    role = _named(objects, "ClusterRole", "rl-router-operator")
    assert role["rules"] == [*rbac.operator_rules(), *rbac.claim_watch_rules()]
    own = _named(objects, "Role", "rl-router-operator-lease")
    assert own["metadata"]["namespace"] == NAMESPACE
    assert own["rules"] == [*rbac.lease_rules(), *rbac.claim_rules()]


def test_with_watched_namespaces_the_operator_has_roles_and_no_cluster_role() -> None:
    objects = render({"watchNamespaces": ["a", "b"]})
    roles = [role for role in of_kind(objects, "Role") if role["metadata"]["name"] == "rl-router-operator"]
    assert [role["metadata"]["namespace"] for role in roles] == ["a", "b"]
    assert all(role["rules"] == [*rbac.operator_rules(), *rbac.claim_rules()] for role in roles)
    assert _named(objects, "Role", "rl-router-operator-lease")["rules"] == rbac.lease_rules()
    names = {role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")}
    assert "rl-router-operator" not in names
    assert "--watch-namespaces=a,b" in _arguments(objects)


def test_a_second_release_has_roles_of_the_same_names_so_that_helm_rejects_it() -> None:
    first, second = (_cluster_roles(render(release=name)) for name in ("one", "two"))
    assert {"rl-router-operator", "rl-router-view", "rl-router-edit"} <= first & second


def test_users_with_the_edit_role_may_write_routers() -> None:
    objects = render()
    edit, view = (_named(objects, "ClusterRole", f"rl-router-{name}") for name in ("edit", "view"))
    assert (edit["rules"], view["rules"]) == (rbac.editor_rules(), rbac.viewer_rules())
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]


def test_the_first_router_has_exactly_the_spec_of_the_values() -> None:
    spec = {"targets": [{"name": "a", "baseUrl": "https://a.example.com/v1", "price": {"input": "0.25"}}]}
    router = one(render({"routerDeployment": {"create": True, "name": "first", "spec": spec}}), "RouterDeployment")
    assert router["metadata"]["name"] == "first"
    assert router["spec"] == spec
    read_spec(router["spec"])


def test_the_first_router_sets_no_replicas_by_default() -> None:
    assert one(render(FIRST_ROUTER), "RouterDeployment")["spec"] == {}
    objects = render({"routerDeployment": {"create": True, "spec": {"api": {"replicas": 3}}}})
    assert one(objects, "RouterDeployment")["spec"] == {"api": {"replicas": 3}}


def test_every_value_for_the_operator_becomes_a_setting() -> None:
    images = {"api": "a:1", "model": "m:1", "vllm": "v:1", "vllmCpu": "c:1"}
    proxy = {"httpsProxy": "http://p:1", "httpProxy": "http://p:2", "noProxy": "inside"}
    routers = {"images": images, "imagePullPolicy": "Never", "imagePullSecrets": ["one", "two"], "proxy": proxy}
    values = {"logLevel": "debug", "watchNamespaces": ["a", "b"], "image": {"registry": "r"}, "routers": routers}
    objects = render({**values, "prometheus": {"namespace": "monitoring"}, "extraArgs": ["--workers=2"]})
    settings = options.read(_arguments(objects), {"POD_NAMESPACE": NAMESPACE})
    assert (settings.log_level, settings.namespaces, settings.workers) == ("debug", ("a", "b"), 2)
    assert settings.defaults == Defaults(
        images=Images("a:1", "m:1", "v:1", "c:1"),
        registry="r",
        image_pull_policy="Never",
        image_pull_secrets=("one", "two"),
        proxy={"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://p:2", "NO_PROXY": "inside"},
        operator_namespace=NAMESPACE,
        monitoring_namespace="monitoring",
    )


def test_the_operator_gets_the_addresses_of_its_pod_and_its_service_has_both_ip_families() -> None:
    objects = render()
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    addresses = {"name": "POD_IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}}
    assert addresses in container["env"]
    assert one(objects, "Service")["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_by_default_the_operator_uses_its_own_defaults() -> None:
    settings = options.read(_arguments(render()), {})
    assert settings.defaults == Defaults()
    assert settings.namespaces == ()


def test_an_unknown_value_is_rejected_by_its_name() -> None:
    assert "replicaCout" in error({"replicaCout": 2})


def test_an_unknown_field_of_the_first_router_is_rejected_by_its_name() -> None:
    assert "targts" in error({"routerDeployment": {"create": True, "spec": {"targts": []}}})


def test_all_objects_have_the_common_labels() -> None:
    objects = render({"commonLabels": {"team": "ml"}, **EVERYTHING})
    assert all(manifest["metadata"]["labels"]["team"] == "ml" for manifest in objects)


def test_a_service_monitor_without_its_service_is_rejected() -> None:
    message = error({"prometheus": {"enabled": False, "servicemonitor": {"enabled": True}}})
    assert "prometheus.servicemonitor.enabled requires prometheus.enabled: true" in message


@pytest.mark.parametrize("budget", [{"minAvailable": 1}, {"maxUnavailable": "50%"}, {}])
def test_the_disruption_budget_has_either_a_minimum_or_a_maximum(budget: dict[str, object]) -> None:
    spec = one(render({"podDisruptionBudget": {"enabled": True, **budget}}), "PodDisruptionBudget")["spec"]
    expected = budget or {"maxUnavailable": 1}
    assert {key: spec.get(key) for key in expected} == expected
    assert len({"minAvailable", "maxUnavailable"} & set(spec)) == 1


def test_extra_objects_are_rendered_as_templates() -> None:
    extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-more', labels: {}}"
    assert _named(render({"extraObjects": [extra]}), "ConfigMap", "rl-router-more")


def test_the_commands_in_the_charts_readme_are_tested_in_the_guide() -> None:
    guide = (ROOT / "docs" / "install.md").read_text("utf-8")
    blocks = re.findall(r"^```bash\n(helm .*?)^```", (CHART / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    for block in blocks:
        assert f"<!-- tested -->\n```bash\n{block}```" in guide


DEFAULTS = yaml.safe_load((CHART / "defaults.yaml").read_text("utf-8"))
SECTIONS = {name: section for name, section in DEFAULTS.items() if isinstance(section, dict) and section}


@pytest.mark.parametrize(
    "nulls",
    [
        dict.fromkeys(SECTIONS),
        dict.fromkeys(DEFAULTS.keys() - SECTIONS.keys()),
        {name: dict.fromkeys(section) for name, section in SECTIONS.items()},
    ],
    ids=["sections", "values", "fields"],
)
def test_a_value_that_is_null_has_its_default(nulls: dict[str, object]) -> None:
    assert render(nulls) == render()
    first = {"create": True, "name": None, "labels": None, "annotations": None, "spec": None}
    assert render({**nulls, "routerDeployment": first}) == render(FIRST_ROUTER)


@pytest.mark.parametrize("name", ["routerDeployment", "routers.images", "hooks.podLabels", "prometheus.servicemonitor"])
def test_the_notes_need_no_section_of_the_values(name: str) -> None:
    section, *keys = name.split(".")
    assert notes({section: {keys[0]: None} if keys else None}) == notes({})


def test_objects_that_are_null_are_omitted() -> None:
    (pod, *_) = pods(render({"resources": None, "securityContext": None, "containerSecurityContext": None}))
    assert "securityContext" not in pod
    assert not {"resources", "securityContext"} & set(pod["containers"][0])


ODD_STRINGS = {
    **EVERYTHING,
    "watchNamespaces": ["1", "1e5", "true"],
    "serviceAccount": {"name": "true", "labels": {"a": "1"}, "annotations": {"b": 1}},
    "priorityClassName": "1e3",
    "commonLabels": {"c": "true", "d": 1000000, "e": True},
    "podLabels": {"f": "0x1"},
    "podAnnotations": {"g": False},
    "deploymentAnnotations": {"h": "null"},
    "nodeSelector": {"i": "1"},
    "routerDeployment": {"create": True, "name": "123", "labels": {"j": "1"}, "annotations": {"k": "~"}},
    "routers": {"proxy": {"noProxy": "a: b", "httpProxy": "#x", "httpsProxy": "'"}, "images": {"api": "x: y"}},
    "prometheus": {"namespace": "1: 2", "servicemonitor": {"enabled": True, "labels": {"l": "no"}}},
    "image": {"registry": "a: b"},
}


@pytest.mark.parametrize(
    ("release", "overrides"),
    [
        ("123", {}),
        ("1e5", {"nameOverride": "true"}),
        ("true", {"fullnameOverride": "123"}),
        ("a", {"fullnameOverride": "true"}),
    ],
)
def test_every_string_of_an_object_is_a_string(release: str, overrides: dict[str, str]) -> None:
    for manifest in render({**ODD_STRINGS, **overrides}, release, "--namespace", "123"):
        assert list(_other_leaves(manifest, ())) == []
        assert manifest["metadata"].get("namespace", "123") in ("123", *ODD_STRINGS["watchNamespaces"])


NUMBERS = {
    "replicas",
    "containerPort",
    "port",
    "periodSeconds",
    "failureThreshold",
    "timeoutSeconds",
    "backoffLimit",
    "activeDeadlineSeconds",
    "maxUnavailable",
}
FLAGS = {"runAsNonRoot", "allowPrivilegeEscalation", "readOnlyRootFilesystem", "enableServiceLinks"}


def _other_leaves(value: object, path: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    """Yields the path of each leaf that is not a string, but must be one."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        if not isinstance(key, str | int) or (isinstance(value, dict) and not isinstance(key, str)):
            yield (*path, key)
        yield from _other_leaves(part, (*path, key))
    if not isinstance(value, str | dict | list) and path[-1] not in NUMBERS | FLAGS:
        yield path


def test_a_label_that_several_values_set_has_one_value() -> None:
    """The loader of these tests rejects duplicate keys."""
    labels = {"app.kubernetes.io/version": "2", "helm.sh/chart": "mine", "team": "a"}
    values = {
        **EVERYTHING,
        "commonLabels": labels,
        "podLabels": labels,
        "serviceAccount": {"labels": {"team": "b"}},
        "routerDeployment": {"create": True, "labels": {"team": "b"}},
        "prometheus": {"servicemonitor": {"enabled": True, "labels": {"team": "b"}}},
    }
    objects = render(values)
    assert {manifest["metadata"]["labels"]["helm.sh/chart"] for manifest in objects} == {"mine"}
    for kind in ("RouterDeployment", "ServiceMonitor"):
        assert one(objects, kind)["metadata"]["labels"]["team"] == "b"
    assert _named(objects, "ServiceAccount", "rl-router")["metadata"]["labels"]["team"] == "b"
    assert one(objects, "Deployment")["metadata"]["labels"]["team"] == "a"


@pytest.mark.parametrize("name", ["name", "instance", "component"])
@pytest.mark.parametrize("section", ["commonLabels", "podLabels", "hooks"])
def test_a_label_that_selects_the_operators_pods_is_rejected(section: str, name: str) -> None:
    labels = {f"app.kubernetes.io/{name}": "mine"}
    values, path = (
        ({section: {"podLabels": labels}}, "hooks.podLabels") if section == "hooks" else ({section: labels}, section)
    )
    expected = (
        f"{path}: the label app.kubernetes.io/{name}: mine would replace a label that selects the operator's pods"
    )
    assert f"{expected}. Remove the label from {path}" in error(values)


@pytest.mark.parametrize("namespace", ["", " ", "a,b", "A", "a.b", "-a", "a" * 64])
def test_a_watched_namespace_has_the_form_of_a_namespace(namespace: str) -> None:
    assert "watchNamespaces" in error({"watchNamespaces": [namespace]})


@pytest.mark.parametrize("release", ["my.release", "1.2", "9lives", "a" * 48 + ".b.c", "a" * 49 + "-bcd"])
def test_every_name_of_a_release_gives_valid_names(release: str) -> None:
    service = one(render(release=release), "Service")["metadata"]["name"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", service)


def test_the_notes_without_a_router_show_how_to_create_one() -> None:
    text = notes({})
    assert "kind: RouterDeployment" in text
    assert "namespace: default" in text


def test_the_notes_with_a_router_show_how_to_send_a_request() -> None:
    text = notes({"routerDeployment": {"create": True, "name": "first"}})
    assert f"kubectl --namespace {NAMESPACE} wait --for=condition=Ready --timeout=10m rd/first" in text
    assert "Bearer" not in text


def test_the_notes_have_a_key_if_the_router_requires_one() -> None:
    spec = {"api": {"auth": {"secretRef": {"name": "keys"}}}}
    assert "Bearer" in notes({"routerDeployment": {"create": True, "spec": spec}})


def test_the_notes_warn_about_a_router_outside_the_watched_namespaces() -> None:
    assert "WARNING" in notes({"watchNamespaces": ["elsewhere"], **FIRST_ROUTER})
    assert "WARNING" not in notes({"watchNamespaces": [NAMESPACE], **FIRST_ROUTER})


def _arguments(objects: list[dict[str, object]]) -> list[str]:
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def _named(objects: list[dict[str, object]], kind: str, name: str) -> dict[str, object]:
    (only,) = (manifest for manifest in of_kind(objects, kind) if manifest["metadata"]["name"] == name)
    return only


def _cluster_roles(objects: list[dict[str, object]]) -> set[str]:
    return {role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")}
