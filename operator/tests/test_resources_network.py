"""Services, NetworkPolicies, Ingress, HTTPRoute and ServiceMonitors."""

import pytest
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.children import children

NAMESPACES = Defaults(operator_namespace="rl-router-system", monitoring_namespace="monitoring")
APPS = {"namespaceSelector": {"matchLabels": {"team": "apps"}}}
ANYBODY = "anybody"
"""The peers of a rule without the field `from`."""
API_PODS = {
    "podSelector": {
        "matchLabels": {
            "app.kubernetes.io/name": "rl-router",
            "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": "api",
        }
    }
}


def namespace_peer(namespace):
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def rules(component, defaults=NAMESPACES, **spec):
    """Returns the allowed peers by port, or `ANYBODY`."""
    policy = children(defaults, **spec)["NetworkPolicy", f"demo-{component}"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    return {rule["ports"][0]["port"]: rule.get("from", ANYBODY) for rule in policy.get("ingress", [])}


def test_the_spec_can_allow_other_peers_of_the_model():
    assert rules("model", model={"networkPolicy": {"from": [APPS]}}) == {8000: [API_PODS, APPS]}


def test_the_models_policy_can_be_disabled():
    assert ("NetworkPolicy", "demo-model") not in children(model={"networkPolicy": {"enabled": False}})


def test_prometheus_may_connect_to_the_model_if_it_is_monitored():
    monitored = {"serviceMonitor": {"enabled": True}}
    assert rules("model", model={"source": "hf://a/b"}, monitoring=monitored)[8000] == [
        API_PODS,
        namespace_peer("monitoring"),
    ]


OBSERVERS = [namespace_peer("rl-router-system"), namespace_peer("monitoring")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, {8800: ANYBODY, 8801: OBSERVERS}),
        ({"enabled": True}, {8800: ANYBODY, 8801: OBSERVERS}),
        ({"from": []}, {8800: ANYBODY, 8801: OBSERVERS}),
        ({"from": [APPS]}, {8800: [APPS], 8801: OBSERVERS}),
        ({"enabled": True, "from": [APPS]}, {8800: [APPS], 8801: OBSERVERS}),
    ],
)
def test_the_apis_policy_admits_only_the_operator_and_prometheus_to_the_admin_port(policy, expected):
    assert rules("api", api={"networkPolicy": policy}) == expected


def test_the_apis_policy_can_be_disabled():
    assert ("NetworkPolicy", "demo-api") not in children(NAMESPACES, api={"networkPolicy": {"enabled": False}})


def test_without_a_monitoring_namespace_only_the_operator_may_connect_to_the_admin_port():
    assert rules("api", Defaults(operator_namespace="rl-router-system"))[8801] == OBSERVERS[:1]


def test_an_operator_outside_the_cluster_creates_the_apis_policy_only_if_it_is_enabled():
    """A NetworkPolicy cannot admit this operator, and a rule with an empty `from` would admit everybody."""
    assert ("NetworkPolicy", "demo-api") not in children(Defaults())
    assert rules("api", Defaults(), api={"networkPolicy": {"enabled": True}}) == {8800: ANYBODY}


def test_an_ingress_without_a_certificate_has_no_tls():
    assert set(children(api={"ingress": {"host": "r.example.com"}})["Ingress", "demo-api"]["spec"]) == {"rules"}


def test_an_http_route_sends_every_path_to_the_api():
    route = {"parentRefs": [{"name": "gateway", "namespace": "infra"}], "hostnames": ["r.example.com"]}
    spec = children(api={"httpRoute": route})["HTTPRoute", "demo-api"]["spec"]
    assert spec["parentRefs"] == [{"name": "gateway", "namespace": "infra"}]
    assert spec["hostnames"] == ["r.example.com"]
    assert spec["rules"][0]["backendRefs"] == [{"name": "demo-api", "port": 8800}]


def test_the_apis_service_has_the_type_and_annotations_of_the_spec():
    built = children(api={"service": {"type": "LoadBalancer", "annotations": {"internal": "true"}}})
    assert built["Service", "demo-api"]["spec"]["type"] == "LoadBalancer"
    assert built["Service", "demo-api"]["metadata"]["annotations"] == {"internal": "true"}


def test_each_service_monitor_selects_one_service():
    """With the headless Service too, Prometheus would scrape each pod of the model twice."""
    built = children(model={"source": "hf://a/b"}, monitoring={"serviceMonitor": {"enabled": True}})
    assert selected(built, built["ServiceMonitor", "demo-model"]) == {"demo-model"}
    assert selected(built, built["ServiceMonitor", "demo-api"]) == {"demo-api"}


def test_llama_cpp_has_no_service_monitor_since_it_has_no_metrics():
    built = children(monitoring={"serviceMonitor": {"enabled": True}})
    assert ("ServiceMonitor", "demo-model") not in built


def selected(built, monitor):
    """Returns the names of the Services that a ServiceMonitor selects."""
    selector = monitor["spec"]["selector"]
    (absent,) = [
        expression["key"] for expression in selector["matchExpressions"] if expression["operator"] == "DoesNotExist"
    ]
    return {
        name
        for (kind, name), child in built.items()
        if kind == "Service"
        and selector["matchLabels"].items() <= child["metadata"]["labels"].items()
        and absent not in child["metadata"]["labels"]
    }
