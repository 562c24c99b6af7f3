"""How the router is reached, and by whom."""

from made import children
from rl_router_operator.resources.defaults import Defaults

NAMESPACES = Defaults(operator_namespace="rl-router-system", monitoring_namespace="monitoring")
APPS = {"namespaceSelector": {"matchLabels": {"team": "apps"}}}
API_PODS = {
    "podSelector": {
        "matchLabels": {
            "app.kubernetes.io/name": "rl-router",
            "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": "api",
        }
    }
}


def named(namespace):
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def rules(component, defaults=NAMESPACES, **spec):
    """Who may connect, by port."""
    policy = children(defaults, **spec)["NetworkPolicy", f"demo-{component}"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    return {rule["ports"][0]["port"]: rule["from"] for rule in policy.get("ingress", [])}


def test_the_model_is_reached_by_the_apis_pods_alone():
    assert rules("model") == {8000: [API_PODS]}


def test_others_may_be_let_in_to_the_model():
    assert rules("model", model={"networkPolicy": {"from": [APPS]}}) == {8000: [API_PODS, APPS]}


def test_the_models_policy_can_be_turned_off():
    assert ("NetworkPolicy", "demo-model") not in children(model={"networkPolicy": {"enabled": False}})


def test_prometheus_reaches_the_model_where_it_is_to_be_watched():
    watched = {"serviceMonitor": {"enabled": True}}
    assert rules("model", model={"source": "hf://a/b"}, monitoring=watched)[8000] == [API_PODS, named("monitoring")]


def test_the_apis_policy_is_made_where_it_is_asked_for():
    assert ("NetworkPolicy", "demo-api") not in children()
    assert rules("api", api={"networkPolicy": {"enabled": True, "from": [APPS]}}) == {
        8800: [APPS],
        8801: [named("rl-router-system"), named("monitoring")],
    }


def test_a_policy_without_peers_lets_nobody_in():
    """An empty `from` in a rule would let everybody in."""
    assert rules("api", Defaults(), api={"networkPolicy": {"enabled": True}}) == {}


def test_an_ingress_leads_every_path_to_the_api():
    ingress = {"host": "r.example.com", "className": "nginx", "tlsSecretName": "cert", "annotations": {"a": "b"}}
    made = children(api={"ingress": ingress})["Ingress", "demo-api"]
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["spec"]["tls"] == [{"hosts": ["r.example.com"], "secretName": "cert"}]
    (rule,) = made["spec"]["rules"]
    assert rule["host"] == "r.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "demo-api", "port": {"name": "http"}}


def test_an_ingress_without_a_certificate_has_no_tls():
    assert set(children(api={"ingress": {"host": "r.example.com"}})["Ingress", "demo-api"]["spec"]) == {"rules"}


def test_an_http_route_leads_every_path_to_the_api():
    route = {"parentRefs": [{"name": "gateway", "namespace": "infra"}], "hostnames": ["r.example.com"]}
    spec = children(api={"httpRoute": route})["HTTPRoute", "demo-api"]["spec"]
    assert spec["parentRefs"] == [{"name": "gateway", "namespace": "infra"}]
    assert spec["hostnames"] == ["r.example.com"]
    assert spec["rules"][0]["backendRefs"] == [{"name": "demo-api", "port": 8800}]


def test_the_apis_service_is_of_the_type_and_with_the_annotations_that_were_asked_for():
    made = children(api={"service": {"type": "LoadBalancer", "annotations": {"internal": "true"}}})
    assert made["Service", "demo-api"]["spec"]["type"] == "LoadBalancer"
    assert made["Service", "demo-api"]["metadata"]["annotations"] == {"internal": "true"}


def test_prometheus_asks_the_apis_admin_port_which_wants_no_key():
    made = children(monitoring={"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    monitor = made["ServiceMonitor", "demo-api"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [{"targetPort": "admin", "path": "/metrics"}]
    assert selected(made, monitor) == {"demo-api"}


def test_prometheus_asks_each_of_vllms_pods_once():
    made = children(model={"source": "hf://a/b"}, monitoring={"serviceMonitor": {"enabled": True}})
    assert selected(made, made["ServiceMonitor", "demo-model"]) == {"demo-model"}


def test_llama_cpp_has_no_metrics_to_ask_for():
    made = children(monitoring={"serviceMonitor": {"enabled": True}})
    assert ("ServiceMonitor", "demo-model") not in made


def selected(made, monitor):
    """The Services that the ServiceMonitor finds."""
    selector = monitor["spec"]["selector"]
    (absent,) = [each["key"] for each in selector["matchExpressions"] if each["operator"] == "DoesNotExist"]
    return {
        name
        for (kind, name), child in made.items()
        if kind == "Service"
        and selector["matchLabels"].items() <= child["metadata"]["labels"].items()
        and absent not in child["metadata"]["labels"]
    }
