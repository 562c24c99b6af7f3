"""The router API's Deployment: rolled without losing a request, and only when its pods must change."""

from made import children, env, mounts, pod

TARGET = {"name": "a", "baseUrl": "https://a.example/v1"}


def keyed(name, secret, key):
    return {**TARGET, "name": name, "apiKeySecretRef": {"name": secret, "key": key}}


def test_an_empty_list_of_constraints_is_a_choice_too():
    assert "topologySpreadConstraints" not in pod("api", api={"podTemplate": {"topologySpreadConstraints": []}})["spec"]


def test_replicas_are_the_autoscalers_where_there_is_one():
    made = children(api={"replicas": 2, "autoscaling": {"minReplicas": 2, "maxReplicas": 9, "targetCPU": 50}})
    assert "replicas" not in made["Deployment", "demo-api"]["spec"]
    spec = made["HorizontalPodAutoscaler", "demo-api"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-api"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
    assert spec["metrics"][0]["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 50},
    }


def test_a_disruption_takes_one_pod_at_a_time_and_waits_for_no_broken_one():
    spec = children(api={"replicas": 2})["PodDisruptionBudget", "demo-api"]["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_a_single_pod_holds_up_no_drain():
    assert ("PodDisruptionBudget", "demo-api") not in children(api={"replicas": 1})
    assert ("PodDisruptionBudget", "demo-api") not in children(api={"autoscaling": {"maxReplicas": 9}})
    disabled = {"replicas": 3, "disruptionBudget": {"enabled": False}}
    assert ("PodDisruptionBudget", "demo-api") not in children(api=disabled)


def test_an_autoscaler_that_keeps_two_pods_has_a_budget():
    made = children(
        api={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "disruptionBudget": {"maxUnavailable": 2}}
    )
    assert made["PodDisruptionBudget", "demo-api"]["spec"]["maxUnavailable"] == 2


def test_targets_prices_and_routing_change_no_pod():
    before = pod("api", targets=[keyed("a", "keys", "a"), keyed("b", "keys", "b")], routing={"maxTurns": 1})
    after = pod(
        "api",
        targets=[{**keyed("c", "keys", "c"), "price": {"input": "1"}}, TARGET],
        routing={"prefer": "cost"},
        api={"server": {"maxInFlight": 5}},
    )
    assert before == after


def test_the_order_of_targets_changes_no_pod():
    one, other = keyed("a", "one", "k"), keyed("b", "other", "k")
    assert pod("api", targets=[one, other]) == pod("api", targets=[other, one])


def test_a_secret_that_is_not_mounted_yet_changes_the_pod():
    assert pod("api", targets=[keyed("a", "one", "k")]) != pod("api", targets=[keyed("a", "other", "k")])


def test_keys_are_files_and_a_missing_secret_keeps_no_pod_from_starting():
    spec = {
        "targets": [keyed("a", "openai", "api-key"), keyed("b", "a.secret-with.dots" + "x" * 80, "k")],
        "api": {"auth": {"secretRef": {"name": "clients"}}},
        "model": {"external": {"baseUrl": "https://m.example/v1", "apiKeySecretRef": {"name": "m", "key": "k"}}},
    }
    found = mounts("api", **spec)
    secrets = {
        source["secret"]["name"]: source["secret"]["optional"]
        for mount in found.values()
        for source in mount.get("projected", {}).get("sources", [])
    }
    assert set(secrets) == {"openai", "a.secret-with.dots" + "x" * 80, "clients", "m"}
    assert all(secrets.values())
    assert all(len(mount["name"]) <= 63 and "subPath" not in mount for mount in found.values())
    assert not any("secretKeyRef" in str(value) for value in env("api", **spec).values())


def test_a_ca_bundle_is_trusted_beside_the_images_own():
    """OpenSSL reads SSL_CERT_FILE and the folder of SSL_CERT_DIR, whose default stays."""
    for kind, ref in (("configMap", "configMapKeyRef"), ("secret", "secretKeyRef")):
        api = {"caBundle": {ref: {"name": "company-ca", "key": "ca.crt"}}}
        folder, _, file = env("api", api=api)["SSL_CERT_FILE"].rpartition("/")
        (source,) = mounts("api", api=api)[folder]["projected"]["sources"]
        assert source == {kind: {"name": "company-ca", "items": [{"key": "ca.crt", "path": file}]}}
        assert "SSL_CERT_DIR" not in env("api", api=api)
    assert "SSL_CERT_FILE" not in env("api")
