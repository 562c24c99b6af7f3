"""Which children a RouterDeployment has, their owner, labels, images and pull secrets."""

from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.children import children, pod

EVERYTHING = {
    "model": {
        "source": "hf://acme/router",
        "serviceAccount": {"create": True},
        "chatTemplate": {"text": "{{ messages }}"},
        "storage": {"size": "1Gi"},
    },
    "api": {
        "autoscaling": {"minReplicas": 2, "maxReplicas": 3},
        "networkPolicy": {"enabled": True},
        "serviceAccount": {"create": True},
        "ingress": {"host": "a.example.com"},
        "httpRoute": {"parentRefs": [{"name": "gateway"}]},
    },
    "monitoring": {"serviceMonitor": {"enabled": True}},
}


def test_every_kind_is_built_if_required_in_the_order_of_the_table():
    kinds = list(dict.fromkeys(kind for kind, _ in children(**EVERYTHING)))
    assert kinds == [kind.kind for kind in KINDS]


def test_an_external_model_has_no_children_for_the_model():
    built = children(
        model={"external": {"baseUrl": "https://m.example/v1"}}, monitoring={"serviceMonitor": {"enabled": True}}
    )
    assert {name for _, name in built} == {"demo-api"}


def test_the_router_controls_every_child_without_blocking_its_own_deletion():
    for child in children(**EVERYTHING).values():
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "rlrouter.dev/v1alpha1",
                "kind": "RouterDeployment",
                "name": "demo",
                "uid": "uid-of-demo",
                "controller": True,
            }
        ]


def test_labels_and_annotations_of_the_spec_are_on_every_child_but_not_on_pods():
    built = children(labels={"team": "search"}, annotations={"contact": "x"}, **EVERYTHING)
    for child in built.values():
        assert child["metadata"]["labels"]["team"] == "search"
        assert child["metadata"]["annotations"]["contact"] == "x"
    template = built["Deployment", "demo-api"]["spec"]["template"]["metadata"]
    assert "team" not in template["labels"]
    assert "annotations" not in template


def test_children_have_the_recommended_labels_and_pods_have_no_version_label():
    for child in children(**EVERYTHING).values():
        labels = child["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "rl-router-operator"
        assert labels["app.kubernetes.io/component"] in ("model", "api")
    assert "app.kubernetes.io/version" not in pod("api")["metadata"]["labels"]


def test_the_spec_cannot_override_the_operators_labels():
    labels = children(labels={"app.kubernetes.io/name": "other"})["Service", "demo-api"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "rl-router"


def test_a_suspended_router_has_0_replicas_and_keeps_its_other_children():
    suspended, running = children(suspend=True, **EVERYTHING), children(**EVERYTHING)
    assert set(running) - set(suspended) == {("HorizontalPodAutoscaler", "demo-api")}
    for ref in (("StatefulSet", "demo-model"), ("Deployment", "demo-api")):
        assert suspended[ref]["spec"]["replicas"] == 0
        assert suspended[ref]["spec"]["template"] == running[ref]["spec"]["template"]


def test_a_service_account_that_both_tiers_share_is_built_once():
    account = {"create": True, "name": "shared"}
    built = children(model={"serviceAccount": account}, api={"serviceAccount": account})
    assert [name for kind, name in built if kind == "ServiceAccount"] == ["shared"]
    for kind, name in (("StatefulSet", "demo-model"), ("Deployment", "demo-api")):
        assert built[kind, name]["spec"]["template"]["spec"]["serviceAccountName"] == "shared"


def test_an_existing_service_account_is_used_and_none_is_built():
    built = children(api={"serviceAccount": {"name": "other"}})
    assert "ServiceAccount" not in {kind for kind, _ in built}
    assert built["Deployment", "demo-api"]["spec"]["template"]["spec"]["serviceAccountName"] == "other"


def test_the_registry_is_prepended_only_to_default_images():
    defaults = Defaults(registry="registry.example.com/mirror/")
    built = children(defaults, api={"image": "mine/api:1"})
    (model,) = built["StatefulSet", "demo-model"]["spec"]["template"]["spec"]["containers"]
    (api,) = built["Deployment", "demo-api"]["spec"]["template"]["spec"]["containers"]
    assert model["image"].startswith("registry.example.com/mirror/rl-router/model:")
    assert api["image"] == "mine/api:1"


def test_pull_secrets_of_the_operator_and_of_the_spec_are_merged():
    template = pod(
        "api",
        Defaults(image_pull_secrets=("default", "both")),
        api={"imagePullSecrets": [{"name": "both"}, {"name": "mine"}]},
    )
    assert template["spec"]["imagePullSecrets"] == [{"name": "default"}, {"name": "both"}, {"name": "mine"}]
