"""The API's configuration file, which has the values of the spec."""

import yaml
from rl_router_api.config import Configuration

from fakes.cluster.children import children, mounts


def router_yaml(**spec):
    return yaml.safe_load(children(**spec)["ConfigMap", "demo-api"]["data"]["router.yaml"])


def test_the_file_has_only_configured_fields():
    """So an older API, which does not know a new field, can still read the file."""
    model = {"source": "hf://a/b"}
    assert router_yaml(model=model) == {
        "server": {"api_keys_file": None},
        "router": {"base_url": "http://demo-model:8000/v1"},
    }


def test_the_file_has_no_defaults_of_the_schema():
    spec = {"model": {"source": "hf://a/b", "replicas": 1}, "api": {"replicas": 1, "auth": {"anonymous": False}}}
    written = router_yaml(**spec)
    assert (set(written), set(written["server"])) == ({"server", "router"}, {"api_keys_file"})


def test_the_default_protocol_of_llama_cpp_is_json_schema():
    assert router_yaml()["router"]["protocol"] == "json_schema"
    assert router_yaml(routing={"protocol": "tools"})["router"]["protocol"] == "tools"
    assert "protocol" not in router_yaml(model={"source": "hf://a/b"})["router"]


def test_the_default_timeout_of_llama_cpp_is_longer():
    assert router_yaml()["router"]["timeout"] == 60
    assert router_yaml(routing={"timeout": 5})["router"]["timeout"] == 5
    assert "timeout" not in router_yaml(model={"source": "hf://a/b"})["router"]


def test_settings_of_the_router_model_are_separate_from_settings_of_routing():
    written = router_yaml(routing={"temperature": 0.5, "maxTokens": 64, "timeout": 3, "maxTurns": 2, "maxCost": "0.10"})
    assert written["routing"] == {"max_turns": 2, "max_cost": "0.10"}
    assert written["router"]["temperature"] == 0.5
    assert (written["router"]["max_tokens"], written["router"]["timeout"]) == (64, 3)


def test_the_goal_the_guard_and_the_profiles_are_fields_of_the_file():
    spec = {"prefer": "0.01", "guard": False, "secondPrice": "0.001", "policy": "learned"}
    target = {"name": "a", "baseUrl": "https://a.example/v1", "profile": {"parametersBillion": 7.5}}
    written = router_yaml(routing=spec, targets=[target])
    assert written["routing"] == {"policy": "learned", "prefer": "0.01", "guard": False, "second_price": "0.001"}
    assert written["targets"][0]["profile"] == {"parameters_billion": 7.5}
    assert float(Configuration.model_validate({"routing": written["routing"]}).routing.prefer) == 0.01


def test_a_target_has_the_path_of_its_mounted_key():
    target = {
        "name": "gpt-5-mini",
        "baseUrl": "https://api.example/v1",
        "apiKeySecretRef": {"name": "openai", "key": "api-key"},
        "price": {"input": "0.25", "cachedInput": "0.025"},
        "capabilities": ["tools"],
        "params": {"rename": {"max_tokens": "max_completion_tokens"}, "set": {"reasoning": {"effort": "low"}}},
    }
    (written,) = router_yaml(targets=[target])["targets"]
    path = written.pop("api_key_file")
    assert written == {
        "name": "gpt-5-mini",
        "base_url": "https://api.example/v1",
        "price": {"input": "0.25", "cached_input": "0.025"},
        "capabilities": ["tools"],
        "params": {"rename": {"max_tokens": "max_completion_tokens"}, "set": {"reasoning": {"effort": "low"}}},
    }
    folder, _, key = path.rpartition("/")
    assert key == "api-key"
    assert mounts("api", targets=[target])[folder]["projected"]["sources"][0]["secret"]["name"] == "openai"


def test_anonymous_access_is_an_explicit_null_at_the_start_of_the_file():
    """A running API stops requiring keys only for an explicit null, and a truncated file loses its end."""
    text = children(api={"server": {"maxInFlight": 7}})["ConfigMap", "demo-api"]["data"]["router.yaml"]
    assert text.startswith("server:\n  api_keys_file: null\n")


def test_the_api_accepts_the_file():
    spec = {
        "routing": {"maxTurns": 2, "fallback": ["a"], "hedgeAfter": 1.5, "protocol": "tools"},
        "targets": [
            {"name": "a", "baseUrl": "https://a.example/v1", "description": "größer: 'x' # y\nz", "timeout": 9}
        ],
        "api": {"server": {"corsOrigins": ["https://chat.example"], "logLevel": "debug"}},
    }
    configuration = Configuration.model_validate(router_yaml(**spec))
    assert configuration.targets is not None
    assert configuration.targets[0].description == "größer: 'x' # y\nz"
    assert (configuration.routing.max_turns, configuration.routing.fallback, configuration.router.protocol) == (
        2,
        ("a",),
        "tools",
    )
    assert configuration.server.cors_origins == ("https://chat.example",)


def test_a_target_has_the_form_of_history_that_its_provider_accepts():
    placeholder = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
    target = {
        "name": "mistral-small",
        "baseUrl": "https://api.example/v1",
        "signingFamily": "mistral",
        "history": {
            "toolCallIds": {"length": 9, "characters": "letters_digits"},
            "drop": ["reasoning_content"],
            "addToMessages": {"reasoning_content": ""},
            "addToToolCalls": placeholder,
        },
    }
    (written,) = router_yaml(targets=[target])["targets"]
    assert written["signing_family"] == "mistral"
    assert written["history"] == {
        "tool_call_ids": {"length": 9, "characters": "letters_digits"},
        "drop": ["reasoning_content"],
        "add_to_messages": {"reasoning_content": ""},
        "add_to_tool_calls": placeholder,
    }
