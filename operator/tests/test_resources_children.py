"""What is made of a RouterDeployment, and whose it is."""

from made import children, pod
from rl_router_operator.objects.kinds import KINDS
from rl_router_operator.resources.defaults import Defaults

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


def test_an_empty_spec_is_a_router_of_the_bundled_model():
    assert set(children()) == {
        ("ConfigMap", "demo-api"),
        ("Service", "demo-model"),
        ("Service", "demo-model-pods"),
        ("Service", "demo-api"),
        ("StatefulSet", "demo-model"),
        ("Deployment", "demo-api"),
        ("NetworkPolicy", "demo-model"),
    }


def test_every_kind_is_made_where_it_is_asked_for_in_the_order_of_the_table():
    kinds = list(dict.fromkeys(kind for kind, _ in children(**EVERYTHING)))
    assert kinds == [kind.kind for kind in KINDS]


def test_nothing_of_the_model_is_made_where_it_is_hosted_elsewhere():
    made = children(
        model={"external": {"baseUrl": "https://m.example/v1"}}, monitoring={"serviceMonitor": {"enabled": True}}
    )
    assert {name for _, name in made} == {"demo-api"}


def test_every_child_is_controlled_by_the_router_and_blocks_no_deletion():
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


def test_weights_have_no_owner_and_are_retained():
    spec = children(model={"source": "hf://a/b", "storage": {"size": "40Gi"}})["StatefulSet", "demo-model"]["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "weights"
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["labels"]["rlrouter.dev/router"] == "demo"
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "40Gi"}}}


def test_labels_and_annotations_of_the_spec_are_on_every_child_and_on_no_pod():
    made = children(labels={"team": "search"}, annotations={"contact": "x"}, **EVERYTHING)
    for child in made.values():
        assert child["metadata"]["labels"]["team"] == "search"
        assert child["metadata"]["annotations"]["contact"] == "x"
    template = made["Deployment", "demo-api"]["spec"]["template"]["metadata"]
    assert "team" not in template["labels"]
    assert "annotations" not in template


def test_labels_are_the_recommended_ones_and_no_version_is_among_a_pods():
    for child in children(**EVERYTHING).values():
        labels = child["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "rl-router-operator"
        assert labels["app.kubernetes.io/component"] in ("model", "api")
    assert "app.kubernetes.io/version" not in pod("api")["metadata"]["labels"]


def test_what_the_spec_says_twice_is_ours_to_say():
    labels = children(labels={"app.kubernetes.io/name": "theirs"})["Service", "demo-api"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "rl-router"


def test_suspend_runs_no_pods_and_keeps_the_rest():
    suspended, running = children(suspend=True, **EVERYTHING), children(**EVERYTHING)
    assert set(running) - set(suspended) == {("HorizontalPodAutoscaler", "demo-api")}
    for ref in (("StatefulSet", "demo-model"), ("Deployment", "demo-api")):
        assert suspended[ref]["spec"]["replicas"] == 0
        assert suspended[ref]["spec"]["template"] == running[ref]["spec"]["template"]


def test_one_service_account_that_both_tiers_ask_for_is_made_once():
    account = {"create": True, "name": "shared"}
    made = children(model={"serviceAccount": account}, api={"serviceAccount": account})
    assert [name for kind, name in made if kind == "ServiceAccount"] == ["shared"]
    for kind, name in (("StatefulSet", "demo-model"), ("Deployment", "demo-api")):
        assert made[kind, name]["spec"]["template"]["spec"]["serviceAccountName"] == "shared"


def test_an_existing_service_account_is_used_and_none_is_made():
    made = children(api={"serviceAccount": {"name": "theirs"}})
    assert "ServiceAccount" not in {kind for kind, _ in made}
    assert made["Deployment", "demo-api"]["spec"]["template"]["spec"]["serviceAccountName"] == "theirs"


def test_the_registry_goes_before_default_images_alone():
    defaults = Defaults(registry="registry.example.com/mirror/")
    made = children(defaults, api={"image": "mine/api:1"})
    (model,) = made["StatefulSet", "demo-model"]["spec"]["template"]["spec"]["containers"]
    (api,) = made["Deployment", "demo-api"]["spec"]["template"]["spec"]["containers"]
    assert model["image"].startswith("registry.example.com/mirror/rl-router/model:")
    assert api["image"] == "mine/api:1"


def test_pull_secrets_of_the_operator_and_of_the_spec_are_used_together():
    template = pod(
        "api",
        Defaults(image_pull_secrets=("ours", "both")),
        api={"imagePullSecrets": [{"name": "both"}, {"name": "mine"}]},
    )
    assert template["spec"]["imagePullSecrets"] == [{"name": "ours"}, {"name": "both"}, {"name": "mine"}]
