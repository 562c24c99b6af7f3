"""The router API's Deployment and its autoscaler and disruption budget."""

from fakes.cluster.children import children, env, mounts, pod

TARGET = {"name": "a", "baseUrl": "https://a.example/v1"}


def target_with_key(name, secret, key):
    return {**TARGET, "name": name, "apiKeySecretRef": {"name": secret, "key": key}}


def test_an_empty_list_of_topology_constraints_replaces_the_default():
    assert "topologySpreadConstraints" not in pod("api", api={"podTemplate": {"topologySpreadConstraints": []}})["spec"]


def test_with_autoscaling_the_deployment_has_no_replicas():
    built = children(api={"replicas": 2, "autoscaling": {"minReplicas": 2, "maxReplicas": 9}})
    assert "replicas" not in built["Deployment", "demo-api"]["spec"]


def test_a_single_pod_has_no_disruption_budget():
    assert ("PodDisruptionBudget", "demo-api") not in children(api={"replicas": 1})
    assert ("PodDisruptionBudget", "demo-api") not in children(api={"autoscaling": {"maxReplicas": 9}})
    disabled = {"replicas": 3, "disruptionBudget": {"enabled": False}}
    assert ("PodDisruptionBudget", "demo-api") not in children(api=disabled)


def test_an_autoscaler_with_two_or_more_pods_has_a_disruption_budget():
    built = children(
        api={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "disruptionBudget": {"maxUnavailable": 2}}
    )
    assert built["PodDisruptionBudget", "demo-api"]["spec"]["maxUnavailable"] == 2


def test_changes_of_targets_prices_and_routing_keep_the_pod_template():
    before = pod(
        "api", targets=[target_with_key("a", "keys", "a"), target_with_key("b", "keys", "b")], routing={"maxTurns": 1}
    )
    after = pod(
        "api",
        targets=[{**target_with_key("c", "keys", "c"), "price": {"input": "1"}}, TARGET],
        routing={"prefer": "cost"},
        api={"server": {"maxInFlight": 5}},
    )
    assert before == after


def test_the_order_of_targets_does_not_change_the_pod_template():
    first, second = target_with_key("a", "one", "k"), target_with_key("b", "other", "k")
    assert pod("api", targets=[first, second]) == pod("api", targets=[second, first])


def test_another_secret_changes_the_pod_template():
    assert pod("api", targets=[target_with_key("a", "one", "k")]) != pod(
        "api", targets=[target_with_key("a", "other", "k")]
    )


def test_keys_are_mounted_as_files_from_optional_secrets():
    spec = {
        "targets": [
            target_with_key("a", "openai", "api-key"),
            target_with_key("b", "a.secret-with.dots" + "x" * 80, "k"),
        ],
        "api": {"auth": {"secretRef": {"name": "clients"}}},
        "model": {"external": {"baseUrl": "https://m.example/v1", "apiKeySecretRef": {"name": "m", "key": "k"}}},
    }
    mounted = mounts("api", **spec)
    secrets = {
        source["secret"]["name"]: source["secret"]["optional"]
        for mount in mounted.values()
        for source in mount.get("projected", {}).get("sources", [])
    }
    assert set(secrets) == {"openai", "a.secret-with.dots" + "x" * 80, "clients", "m"}
    assert all(secrets.values())
    assert all(len(mount["name"]) <= 63 and "subPath" not in mount for mount in mounted.values())
    assert not any("secretKeyRef" in str(value) for value in env("api", **spec).values())


def test_a_ca_bundle_is_trusted_in_addition_to_the_images_certificates():
    """OpenSSL reads SSL_CERT_FILE and also the folder of SSL_CERT_DIR, which keeps its default."""
    for kind, ref in (("configMap", "configMapKeyRef"), ("secret", "secretKeyRef")):
        api = {"caBundle": {ref: {"name": "company-ca", "key": "ca.crt"}}}
        folder, _, file = env("api", api=api)["SSL_CERT_FILE"].rpartition("/")
        (source,) = mounts("api", api=api)[folder]["projected"]["sources"]
        assert source == {kind: {"name": "company-ca", "items": [{"key": "ca.crt", "path": file}]}}
        assert "SSL_CERT_DIR" not in env("api", api=api)
    assert "SSL_CERT_FILE" not in env("api")
