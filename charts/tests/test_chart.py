"""What the chart makes of its values."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from rendered import CHART, NAMESPACE, OLDEST, ROOT, helm, needs_helm, notes, of_kind, one, pods, refusal, render
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


def test_what_follows_from_other_files_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "chart", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"watchNamespaces": ["a"]}])
def test_lint_finds_nothing(values: object) -> None:
    done = helm("lint", "--strict", CHART, values=values)
    assert done.returncode == 0, done.stdout


def test_by_default_there_is_an_operator_and_no_router() -> None:
    objects = render()
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"rl-router/operator:{__version__}"
    assert not of_kind(objects, "RouterDeployment")


def test_a_kubernetes_that_is_too_old_is_refused_by_its_version() -> None:
    assert "requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29" in refusal({}, "1.29")


def test_a_guide_that_renders_without_a_cluster_says_for_which_kubernetes() -> None:
    """Helm 3.14 renders for 1.29 where it is not told, which the chart refuses."""
    guide = (ROOT / "docs" / "install.md").read_text("utf-8")
    (command,) = re.findall(r"`(helm template [^`]*)`", guide)
    assert f"--kube-version {OLDEST}" in command


def test_the_definition_is_neither_a_template_nor_a_hook() -> None:
    assert not of_kind(render(EVERYTHING), "CustomResourceDefinition")
    shown = helm("show", "crds", CHART).stdout
    assert "name: routerdeployments.rlrouter.dev" in shown


def test_before_an_upgrade_the_operators_image_applies_the_definition() -> None:
    job = one(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"rl-router/operator:{__version__}"


def test_who_keeps_definitions_by_other_means_gets_no_job() -> None:
    assert not of_kind(render({"crds": {"upgrade": False}}), "Job")


def test_the_one_registry_is_put_before_every_default_image() -> None:
    objects = render({"image": {"registry": "registry.example.com/team/"}, **FIRST_ROUTER})
    images = {container["image"] for pod in pods(objects) for container in pod["containers"]}
    assert images == {f"registry.example.com/team/rl-router/operator:{__version__}"}
    assert "--registry=registry.example.com/team/" in _arguments(objects)


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    (container,) = one(render({"image": {"tag": "x", "digest": digest}}), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == f"rl-router/operator@{digest}"


def test_every_pod_gets_the_pull_secrets_and_meets_pod_security_restricted() -> None:
    found = list(pods(render({"imagePullSecrets": [{"name": "registry-key"}], **EVERYTHING})))
    assert len(found) == 3
    for pod in found:
        assert pod["imagePullSecrets"] == [{"name": "registry-key"}]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_the_operator_may_do_what_its_own_table_says_everywhere() -> None:
    objects = render()
    role = _named(objects, "ClusterRole", "rl-router-operator")
    assert role["rules"] == rbac.operator_rules()
    assert _named(objects, "Role", "rl-router-operator-lease")["rules"] == rbac.lease_rules()


def test_watched_namespaces_get_roles_and_no_cluster_role() -> None:
    objects = render({"watchNamespaces": ["a", "b"]})
    roles = [each for each in of_kind(objects, "Role") if each["metadata"]["name"] == "rl-router-operator"]
    assert [each["metadata"]["namespace"] for each in roles] == ["a", "b"]
    assert all(each["rules"] == rbac.operator_rules() for each in roles)
    names = {each["metadata"]["name"] for each in of_kind(objects, "ClusterRole")}
    assert "rl-router-operator" not in names
    assert "--watch-namespaces=a,b" in _arguments(objects)


def test_a_second_release_makes_roles_of_the_same_names_so_that_helm_refuses_it() -> None:
    first, second = (_cluster_roles(render(release=name)) for name in ("one", "two"))
    assert {"rl-router-operator", "rl-router-view", "rl-router-edit"} <= first & second


def test_people_who_may_edit_a_namespace_may_write_its_routers() -> None:
    objects = render()
    edit, view = (_named(objects, "ClusterRole", f"rl-router-{name}") for name in ("edit", "view"))
    assert (edit["rules"], view["rules"]) == (rbac.editor_rules(), rbac.viewer_rules())
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]


def test_a_first_router_asks_for_exactly_what_the_values_say() -> None:
    spec = {"targets": [{"name": "a", "baseUrl": "https://a.example.com/v1", "price": {"input": "0.25"}}]}
    router = one(render({"routerDeployment": {"create": True, "name": "first", "spec": spec}}), "RouterDeployment")
    assert router["metadata"]["name"] == "first"
    assert router["spec"] == spec
    read_spec(router["spec"])


def test_the_replicas_of_the_api_are_left_alone_unless_set() -> None:
    assert one(render(FIRST_ROUTER), "RouterDeployment")["spec"] == {}
    told = render({"routerDeployment": {"create": True, "spec": {"api": {"replicas": 3}}}})
    assert one(told, "RouterDeployment")["spec"] == {"api": {"replicas": 3}}


def test_every_value_for_the_operator_reaches_its_settings() -> None:
    images = {"api": "a:1", "model": "m:1", "vllm": "v:1", "vllmCpu": "c:1"}
    proxy = {"httpsProxy": "http://p:1", "httpProxy": "http://p:2", "noProxy": "inside"}
    routers = {"images": images, "imagePullPolicy": "Never", "imagePullSecrets": ["one", "two"], "proxy": proxy}
    told = {"logLevel": "debug", "watchNamespaces": ["a", "b"], "image": {"registry": "r"}, "routers": routers}
    objects = render({**told, "prometheus": {"namespace": "monitoring"}, "extraArgs": ["--workers=2"]})
    found = options.read(_arguments(objects), {"POD_NAMESPACE": NAMESPACE})
    assert (found.log_level, found.namespaces, found.workers) == ("debug", ("a", "b"), 2)
    assert found.defaults == Defaults(
        images=Images("a:1", "m:1", "v:1", "c:1"),
        registry="r",
        image_pull_policy="Never",
        image_pull_secrets=("one", "two"),
        proxy={"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://p:2", "NO_PROXY": "inside"},
        operator_namespace=NAMESPACE,
        monitoring_namespace="monitoring",
    )


def test_by_default_the_operator_keeps_its_own_defaults() -> None:
    found = options.read(_arguments(render()), {})
    assert found.defaults == Defaults()
    assert found.namespaces == ()


def test_a_misspelt_value_is_refused_by_name() -> None:
    assert "replicaCout" in refusal({"replicaCout": 2})


def test_a_misspelt_field_of_the_first_router_is_refused_by_name() -> None:
    assert "targts" in refusal({"routerDeployment": {"create": True, "spec": {"targts": []}}})


def test_the_common_labels_are_on_everything() -> None:
    objects = render({"commonLabels": {"team": "ml"}, **EVERYTHING})
    assert all(each["metadata"]["labels"]["team"] == "ml" for each in objects)


def test_a_service_monitor_without_the_service_it_looks_at_is_refused() -> None:
    error = refusal({"prometheus": {"enabled": False, "servicemonitor": {"enabled": True}}})
    assert "prometheus.servicemonitor.enabled requires prometheus.enabled: true" in error


@pytest.mark.parametrize("told", [{"minAvailable": 1}, {"maxUnavailable": "50%"}, {}])
def test_the_disruption_budget_says_one_thing(told: dict[str, object]) -> None:
    budget = one(render({"podDisruptionBudget": {"enabled": True, **told}}), "PodDisruptionBudget")
    expected = told or {"maxUnavailable": 1}
    assert {key: budget["spec"].get(key) for key in expected} == expected
    assert len({"minAvailable", "maxUnavailable"} & set(budget["spec"])) == 1


def test_further_objects_are_templates() -> None:
    further = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-more', labels: {}}"
    assert _named(render({"extraObjects": [further]}), "ConfigMap", "rl-router-more")


def test_the_charts_readme_gives_commands_that_are_run_in_a_cluster() -> None:
    guide = (ROOT / "docs" / "install.md").read_text("utf-8")
    blocks = re.findall(r"^```bash\n(helm .*?)^```", (CHART / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    for block in blocks:
        assert f"<!-- tested -->\n```bash\n{block}```" in guide


def test_the_notes_of_an_operator_alone_lead_to_a_first_router() -> None:
    said = notes({})
    assert "kind: RouterDeployment" in said
    assert "namespace: default" in said


def test_the_notes_of_a_first_router_lead_to_its_answer() -> None:
    said = notes({"routerDeployment": {"create": True, "name": "first"}})
    assert f"kubectl --namespace {NAMESPACE} wait --for=condition=Ready --timeout=10m rd/first" in said
    assert "Bearer" not in said


def test_the_notes_ask_for_a_key_where_the_router_does() -> None:
    spec = {"api": {"auth": {"secretRef": {"name": "keys"}}}}
    assert "Bearer" in notes({"routerDeployment": {"create": True, "spec": spec}})


def test_the_notes_warn_of_a_router_that_nobody_looks_after() -> None:
    assert "WARNING" in notes({"watchNamespaces": ["elsewhere"], **FIRST_ROUTER})
    assert "WARNING" not in notes({"watchNamespaces": [NAMESPACE], **FIRST_ROUTER})


def _arguments(objects: list[dict[str, object]]) -> list[str]:
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def _named(objects: list[dict[str, object]], kind: str, name: str) -> dict[str, object]:
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def _cluster_roles(objects: list[dict[str, object]]) -> set[str]:
    return {each["metadata"]["name"] for each in of_kind(objects, "ClusterRole")}
