"""The sources of the configuration: flags, environment, file and defaults, and errors in one line."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from rl_router_api.config import Configuration
from rl_router_api.errors import ConfigurationError
from rl_router_api.runtime.settings import LAYER, read
from rl_router_api.runtime.source import Source

TARGET = "{name: alpha, base_url: 'http://a/v1'}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "router.yaml"


def refusal(path: Path | None = None, flags: dict[str, Any] | None = None, /, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(str(path) if path else None, environment, flags or {})
    message = str(raised.value)
    assert "\n" not in message
    return message


def flags(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    LAYER.add_flags(parser)
    return LAYER.chosen_flags(parser.parse_args(arguments))


def test_without_any_source_the_defaults_are_used() -> None:
    assert read(None, {}, {}) == Configuration()


def test_flags_override_the_environment_which_overrides_the_file_which_overrides_defaults(file: Path) -> None:
    file.write_text("routing: {max_turns: 4, max_calls: 5, prefer: cost, deadline: 7}")
    environment = {"RL_ROUTER_ROUTING__MAX_CALLS": "6", "RL_ROUTER_ROUTING__PREFER": "quality"}
    routing = read(str(file), environment, {"routing.prefer": "balanced"}).routing
    assert (routing.max_turns, routing.max_calls, routing.prefer, routing.review) == (4, 6, "balanced", "buffered")
    assert routing.deadline == 7


def test_an_empty_section_sets_nothing(file: Path) -> None:
    file.write_text("routing:\n")
    configuration = read(str(file), {"RL_ROUTER_ROUTING__MAX_TURNS": "5"}, {})
    assert configuration.routing.max_turns == 5


def test_every_field_can_be_set_by_an_environment_variable() -> None:
    configuration = read(None, {
        "RL_ROUTER_ROUTER__BASE_URL": "http://host:9/v1",
        "RL_ROUTER_ROUTER__PRICE__INPUT": "0.05",
        "RL_ROUTER_ROUTER__PRICE": "{output: 0.1}",
        "RL_ROUTER_ROUTING__FALLBACK": "[alpha]",
        "RL_ROUTER_ROUTING__DIRECT_ANSWERS": "true",
        "RL_ROUTER_ROUTING__MAX_COST": "null",
        "RL_ROUTER_SERVER__HOST": "0.0.0.0",
        "RL_ROUTER_SERVER__ADMIN_PORT": "0",
        "RL_ROUTER_TARGETS": f"[{TARGET}]",
    }, {})  # fmt: skip
    assert configuration.router.base_url == "http://host:9/v1"
    assert str(configuration.router.price.output) == "0.1"
    assert (configuration.routing.fallback, configuration.routing.direct_answers, configuration.routing.max_cost) == (
        ("alpha",),
        True,
        None,
    )
    assert (configuration.server.host, configuration.server.admin_port) == ("0.0.0.0", 0)
    assert [target.name for target in configuration.targets or ()] == ["alpha"]


def test_the_parts_of_a_price_can_be_set_separately() -> None:
    parts = {"RL_ROUTER_ROUTER__PRICE__INPUT": "0.05", "RL_ROUTER_ROUTER__PRICE__OUTPUT": "0.1"}
    price = read(None, parts, {}).router.price
    assert (str(price.input), str(price.output)) == ("0.05", "0.1")


def test_similar_environment_variables_are_ignored() -> None:
    others = {
        "RL_ROUTER_PORT": "tcp://10.0.0.1:8800", "RL_ROUTER_SERVICE_HOST": "10.0.0.1", "RL_ROUTER_CONFIG": "x.yaml",
        "RL_ROUTER_SERVER_PORT": "tcp://10.0.0.1:1", "RL_ROUTER_STATE_DIR": "/x", "PATH": "[",
        "XRL_ROUTER_ROUTING__MAX_TURNS": "x", "RL_ROUTER_ROUTER_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    }  # fmt: skip
    assert read(None, others, {}) == Configuration()


def test_an_error_about_a_variable_for_a_whole_section_names_a_variable_for_a_field() -> None:
    message = refusal(RL_ROUTER_SERVER="{port: 1}")
    assert message.startswith("RL_ROUTER_SERVER: the variable names a whole section")
    assert "RL_ROUTER_SERVER__MAX_BODY_BYTES" in message


def test_every_field_can_be_set_by_a_flag() -> None:
    chosen = flags(
        "--routing.max-turns", "5", "--server.cors-origins", "['*']", "--router.base-url", "http://host:9/v1",
        "--targets", f"[{TARGET}]", "--routing.max-cost", "0.5",
    )  # fmt: skip
    configuration = read(None, {}, chosen)
    assert (configuration.routing.max_turns, configuration.server.cors_origins) == (5, ("*",))
    assert (configuration.router.base_url, str(configuration.routing.max_cost)) == ("http://host:9/v1", "0.5")
    assert configuration.targets is not None


def test_every_field_has_a_flag_and_only_flags_on_the_command_line_count() -> None:
    sections = {"router": Configuration().router, "routing": Configuration().routing, "server": Configuration().server}
    for section, model in sections.items():
        for name in type(model).model_fields:
            field = f"{section}.{name}"
            assert flags(f"--{field.replace('_', '-')}", "[1]")[field] in ([1], "[1]")
    assert flags() == {}


@pytest.mark.parametrize("text", ["::", "::1", "7", "yes", "2024-01-01", "a: b", "[x]", "#5", "'7'"])
def test_values_of_text_fields_are_not_parsed(text: str) -> None:
    by_variable = read(None, {"RL_ROUTER_ROUTER__MODEL": text}, {})
    assert by_variable.router.model == text
    by_flag = read(None, {}, flags("--router.model", text))
    assert by_flag.router.model == text


@pytest.mark.parametrize(("text", "host"), [("::", "::"), ("[::1]", "::1"), ("7", "7")])
def test_a_host_is_not_parsed_as_yaml(text: str, host: str) -> None:
    assert read(None, {"RL_ROUTER_SERVER__HOST": text}, {}).server.host == host
    assert read(None, {}, flags("--server.host", text)).server.host == host


@pytest.mark.parametrize("text", ["", "null", "~"])
def test_an_optional_text_can_be_unset(file: Path, text: str) -> None:
    file.write_text("router: {model: a, tool_choice: auto}")
    configuration = read(str(file), {"RL_ROUTER_ROUTER__MODEL": text}, flags("--router.tool-choice", text)).router
    assert (configuration.model, configuration.tool_choice) == (None, None)


def test_only_the_word_null_unsets_the_keys_file(file: Path) -> None:
    file.write_text("server: {api_keys_file: keys.yaml}")

    def keys_files(text: str) -> list[str | None]:
        variable = read(str(file), {"RL_ROUTER_SERVER__API_KEYS_FILE": text}, {})
        flag = read(str(file), {}, flags("--server.api-keys-file", text))
        return [variable.server.api_keys_file, flag.server.api_keys_file]

    assert keys_files("null") == [None, None]
    assert keys_files("~") == ["~", "~"]
    assert "Name the keys file, or write `null`" in refusal(file, RL_ROUTER_SERVER__API_KEYS_FILE="")
    assert "Name the keys file, or write `null`" in refusal(file, flags("--server.api-keys-file", ""))


def test_an_error_repeats_the_value_as_it_was_written() -> None:
    assert "(got 'no')" in refusal(RL_ROUTER_ROUTING__PREFER="no")


@pytest.mark.parametrize("value", ["[", "{", "2024-99-99", "'"])
def test_a_flag_with_invalid_yaml_is_refused(value: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="not YAML"):
        flags("--routing.max-turns", value)


@pytest.mark.parametrize("value", ["[", "{", "2024-99-99", "'", "[" * 5_000])
def test_an_error_names_the_variable_with_invalid_yaml(value: str) -> None:
    message = refusal(RL_ROUTER_ROUTING__MAX_TURNS=value)
    assert message.startswith(f"RL_ROUTER_ROUTING__MAX_TURNS: the value {value!r} is not YAML")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("routing: [", "line 1: the file is not valid YAML"),
        ("a: 1\nb: c: d", "line 2: the file is not valid YAML"),
        ("a: 2024-99-99", "is not valid YAML"),
        ("a: \x00", "is not valid YAML"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
        ("[" * 5_000, "is not valid YAML"),
        ("", "contains no settings. Write one or more of the keys server, router, routing, targets"),
        ("# nothing", "contains no settings"),
        ("{}", "contains no settings"),
        ("server: {api_keys_file: }", "server.api_keys_file: the path is empty. Name the keys file, or write `null`"),
        ("server:", "server: the section must be a mapping of fields"),
        ("server: []\ntargets: []", "server: the section must be a mapping of fields"),
        ("server:\n  api_keys_fi", "server: the section must be a mapping of fields"),
        ("server: {port: 1}\nserver: {port: 2}", "line 2: the file is not valid YAML: duplicate key `server`"),
        ("server: {api_keys_file: a, api_keys_file: null}", "duplicate key `api_keys_file`"),
        ("- a", "must be a mapping"),
        ("just a text", "must be a mapping"),
        ("targts: []", "unknown key `targts`: did you mean `targets`?"),
        ("routing: {max_turn: 3}", "routing: unknown key `max_turn`: did you mean `max_turns`?"),
        ("routing: {max_turns: many}", "routing.max_turns: "),
        ("routing: {max_turns: 0}", "(got 0)"),
        ("routing: 7", "routing: "),
        ("targets: [{name: a}]", "targets.0.base_url: "),
        (f"targets: [{TARGET}, {TARGET}]", "two targets are called `alpha`"),
        ("targets: [{name: a, base_url: 'http://a', price: {input: -1}}]", "targets.0.price.input: "),
    ],
)
def test_an_error_in_a_file_is_one_line_that_names_the_field(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    message = refusal(file)
    assert message.startswith(f"{file}: ")
    assert expected in message
    assert "; targets: " not in message


def test_an_error_names_a_file_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    assert "cannot be read" in refusal(file)
    assert "cannot be read" in refusal(tmp_path)
    file.write_bytes(b"router: \xff")
    assert "is not UTF-8" in refusal(file)


def test_several_errors_are_reported_together(file: Path) -> None:
    file.write_text("routing: {max_turns: 0, max_calls: 0}")
    message = refusal(file)
    assert "routing.max_turns" in message
    assert "routing.max_calls" in message


def test_flags_and_variables_do_not_replace_a_truncated_section(file: Path) -> None:
    for text in ("server:", "server:\n  api_keys_fi", "server: x", "server: []"):
        file.write_text(text)
        assert "server: the section must be a mapping" in refusal(file, {"server.port": 1})
        assert "server: the section must be a mapping" in refusal(file, RL_ROUTER_SERVER__PORT="1")


def test_an_unknown_variable_or_flag_of_a_known_section_is_refused() -> None:
    assert "did you mean `max_turns`" in refusal(RL_ROUTER_ROUTING__MAX_TURN="3")
    assert "did you mean `max_turns`" in refusal(None, {"routing.max_turn": 3})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("routing: {fallback: gpt-4}", "routing.fallback: Input should be a list"),
        ("targets: {a: 1}", "targets: Input should be a list"),
        ("router: [1]", "router: Input should be a mapping"),
        ("targets: [{name: a, base_url: 'http://a', price: 5}]", "targets.0.price: Input should be a mapping"),
        ("targets: [{name: a, base_url: 'http://a', headers: [a]}]", "targets.0.headers: Input should be a mapping"),
    ],
)
def test_an_error_about_the_kind_of_a_value_names_no_class_of_python(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    assert words in refusal(file)


def test_an_error_names_the_variable_or_the_flag_that_caused_it(file: Path) -> None:
    file.write_text("routing: {max_turns: 2}")
    turns = {"RL_ROUTER_ROUTING__MAX_TURNS": "0"}
    assert refusal(file, **turns).startswith("RL_ROUTER_ROUTING__MAX_TURNS: routing.max_turns: Input should be greater")
    message = refusal(file, {"routing.max_turns": 99}, **turns)
    assert message.startswith("--routing.max-turns: routing.max_turns: Input should be less")
    assert refusal(file, RL_ROUTER_TARGETS="[{name: a}]").startswith("RL_ROUTER_TARGETS: targets.0.base_url: ")
    assert refusal(file, RL_ROUTER_ROUTING__MAX_TURN="3").startswith("RL_ROUTER_ROUTING__MAX_TURN: routing: unknown")
    assert refusal(file, {"routing.max_turns": 3}, RL_ROUTER_ROUTER__PRICE="3").startswith("RL_ROUTER_ROUTER__PRICE: ")


def test_an_error_in_the_file_names_the_file_even_if_flags_are_set(file: Path) -> None:
    file.write_text("routing: {max_turns: 0}")
    message = refusal(file, {"routing.review": "never"}, RL_ROUTER_ROUTING__MAX_CALLS="2")
    assert message.startswith(f"{file}: routing.max_turns: ")


def test_a_key_that_is_not_unicode_is_refused_as_unknown(file: Path) -> None:
    file.write_text(r'"\ud800": 1')
    assert r"unknown key `\ud800`" in refusal(file)


def test_an_error_does_not_show_a_secret_that_was_written_in_the_wrong_field(file: Path) -> None:
    file.write_text("targets: [{name: a, base_url: 'http://a', api_key_env: sk-secret}]")
    assert "sk-secret" not in refusal(file)
    file.write_text("router: {api_key: sk-secret}")
    assert "sk-secret" not in refusal(file)
    file.write_text("router: {base_url: 'ftp://user:sk-secret@host'}")
    assert "sk-secret" not in refusal(file)


def test_a_source_reads_the_current_file(file: Path) -> None:
    source = Source(str(file), {"routing.max_calls": 2})
    for turns in (1, 2):
        file.write_text(f"routing: {{max_turns: {turns}, max_calls: 9}}")
        assert source.load().configuration.routing.max_turns == turns
        assert source.load().configuration.routing.max_calls == 2


def test_after_a_restart_with_an_invalid_file_the_last_valid_file_is_used(file: Path, tmp_path: Path) -> None:
    def started() -> tuple[int, str | None]:
        loaded = Source(str(file), state=str(state)).start()
        return loaded.configuration.routing.max_turns, loaded.refused and str(loaded.refused)

    (state := tmp_path / "state").mkdir()
    file.write_text("routing: {max_turns: 7}")
    assert started() == (7, None)
    file.write_text("routing: {max_turns: many}")
    turns, refused = started()
    assert turns == 7
    assert refused is not None
    assert "routing.max_turns" in refused
    file.write_text("routing: {max_turns: 8}")
    assert started() == (8, None)


def test_a_first_start_with_an_invalid_file_is_refused(file: Path, tmp_path: Path) -> None:
    file.write_text("routing: {max_turns: many}")
    for state in (None, str(tmp_path)):
        with pytest.raises(ConfigurationError, match="max_turns"):
            Source(str(file), state=state).start()
