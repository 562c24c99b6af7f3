"""The API's configuration file: what the spec sets, read by the API's own schema."""

import yaml
from made import children, mounts
from rl_router_api.config import Configuration


def router_yaml(**spec):
    return yaml.safe_load(children(**spec)["ConfigMap", "demo-api"]["data"]["router.yaml"])


def test_only_what_is_set_is_written():
    """An API that is older than a new field still reads the file."""
    model = {"source": "hf://a/b"}
    assert router_yaml(model=model) == {
        "server": {"api_keys_file": None},
        "router": {"base_url": "http://demo-model:8000/v1"},
    }


def test_defaults_of_the_schema_are_not_written():
    spec = {"model": {"source": "hf://a/b", "replicas": 1}, "api": {"replicas": 1, "auth": {"anonymous": False}}}
    made = router_yaml(**spec)
    assert (set(made), set(made["server"])) == ({"server", "router"}, {"api_keys_file"})


def test_llama_cpp_decides_under_a_schema_unless_told_otherwise():
    assert router_yaml()["router"]["protocol"] == "json_schema"
    assert router_yaml(routing={"protocol": "tools"})["router"]["protocol"] == "tools"
    assert "protocol" not in router_yaml(model={"source": "hf://a/b"})["router"]


def test_llama_cpp_gets_longer_to_decide_unless_told_otherwise():
    assert router_yaml()["router"]["timeout"] == 60
    assert router_yaml(routing={"timeout": 5})["router"]["timeout"] == 5
    assert "timeout" not in router_yaml(model={"source": "hf://a/b"})["router"]


def test_how_the_router_model_is_asked_goes_apart_from_how_requests_are_routed():
    made = router_yaml(routing={"temperature": 0.5, "maxTokens": 64, "timeout": 3, "maxTurns": 2, "maxCost": "0.10"})
    assert made["routing"] == {"max_turns": 2, "max_cost": "0.10"}
    assert made["router"]["temperature"] == 0.5
    assert (made["router"]["max_tokens"], made["router"]["timeout"]) == (64, 3)


def test_a_target_is_written_with_the_place_of_its_key():
    target = {
        "name": "gpt-5-mini",
        "baseUrl": "https://api.example/v1",
        "apiKeySecretRef": {"name": "openai", "key": "api-key"},
        "price": {"input": "0.25", "cachedInput": "0.025"},
        "capabilities": ["tools"],
        "params": {"rename": {"max_tokens": "max_completion_tokens"}, "set": {"reasoning": {"effort": "low"}}},
    }
    (made,) = router_yaml(targets=[target])["targets"]
    path = made.pop("api_key_file")
    assert made == {
        "name": "gpt-5-mini",
        "base_url": "https://api.example/v1",
        "price": {"input": "0.25", "cached_input": "0.025"},
        "capabilities": ["tools"],
        "params": {"rename": {"max_tokens": "max_completion_tokens"}, "set": {"reasoning": {"effort": "low"}}},
    }
    folder, _, key = path.rpartition("/")
    assert key == "api-key"
    assert mounts("api", targets=[target])[folder]["projected"]["sources"][0]["secret"]["name"] == "openai"


def test_an_external_model_is_asked_where_it_is():
    external = {
        "baseUrl": "https://m.example/v1",
        "model": "router-8b",
        "price": {"output": "0.10"},
        "apiKeySecretRef": {"name": "m", "key": "k"},
    }
    made = router_yaml(model={"external": external}, routing={"timeout": 5})["router"]
    assert made.pop("api_key_file").endswith("/m/k")
    assert made == {
        "base_url": "https://m.example/v1",
        "model": "router-8b",
        "price": {"output": "0.10"},
        "timeout": 5,
    }


def test_who_may_ask_is_a_file_of_the_secret():
    made = router_yaml(api={"auth": {"secretRef": {"name": "clients"}}, "server": {"maxInFlight": 7, "workers": 2}})
    assert made["server"].pop("api_keys_file").endswith("/clients/keys")
    assert made["server"] == {"max_in_flight": 7, "workers": 2}


def test_that_nobody_needs_a_key_is_written_out_and_who_may_ask_stands_first():
    """A running API takes keys away for the word `null` alone, and a file that is cut loses what stands last."""
    text = children(api={"server": {"maxInFlight": 7}})["ConfigMap", "demo-api"]["data"]["router.yaml"]
    assert text.startswith("server:\n  api_keys_file: null\n")


def test_the_api_reads_the_file():
    spec = {
        "routing": {"maxTurns": 2, "fallback": ["a"], "hedgeAfter": 1.5, "protocol": "tools"},
        "targets": [
            {"name": "a", "baseUrl": "https://a.example/v1", "description": "größer: 'x' # y\nz", "timeout": 9}
        ],
        "api": {"server": {"corsOrigins": ["https://chat.example"], "logLevel": "debug"}},
    }
    read = Configuration.model_validate(router_yaml(**spec))
    assert read.targets is not None
    assert read.targets[0].description == "größer: 'x' # y\nz"
    assert (read.routing.max_turns, read.routing.fallback, read.router.protocol) == (2, ("a",), "tools")
    assert read.server.cors_origins == ("https://chat.example",)
