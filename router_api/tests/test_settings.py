"""Where the configuration comes from: flags before environment before file before defaults; mistakes in a line."""

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
    with pytest.raises(ConfigurationError) as caught:
        read(str(path) if path else None, environment, flags or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def flags(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    LAYER.add_flags(parser)
    return LAYER.chosen_flags(parser.parse_args(arguments))


def test_without_any_source_the_defaults_hold() -> None:
    assert read(None, {}, {}) == Configuration()


def test_flags_go_before_the_environment_and_that_before_the_file_and_that_before_the_defaults(file: Path) -> None:
    file.write_text("routing: {max_turns: 4, max_calls: 5, prefer: cost, deadline: 7}")
    environment = {"RL_ROUTER_ROUTING__MAX_CALLS": "6", "RL_ROUTER_ROUTING__PREFER": "quality"}
    routing = read(str(file), environment, {"routing.prefer": "balanced"}).routing
    assert (routing.max_turns, routing.max_calls, routing.prefer, routing.review) == (4, 6, "balanced", "buffered")
    assert routing.deadline == 7


def test_an_empty_section_says_nothing(file: Path) -> None:
    file.write_text("routing:\n")
    found = read(str(file), {"RL_ROUTER_ROUTING__MAX_TURNS": "5"}, {})
    assert found.routing.max_turns == 5


def test_every_field_can_be_set_by_a_variable() -> None:
    found = read(None, {
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
    assert found.router.base_url == "http://host:9/v1"
    assert str(found.router.price.output) == "0.1"
    assert (found.routing.fallback, found.routing.direct_answers, found.routing.max_cost) == (("alpha",), True, None)
    assert (found.server.host, found.server.admin_port) == ("0.0.0.0", 0)
    assert [target.name for target in found.targets or ()] == ["alpha"]


def test_a_price_can_be_set_part_by_part() -> None:
    parts = {"RL_ROUTER_ROUTER__PRICE__INPUT": "0.05", "RL_ROUTER_ROUTER__PRICE__OUTPUT": "0.1"}
    price = read(None, parts, {}).router.price
    assert (str(price.input), str(price.output)) == ("0.05", "0.1")


def test_variables_that_only_look_like_ours_are_left_alone() -> None:
    others = {
        "RL_ROUTER_PORT": "tcp://10.0.0.1:8800", "RL_ROUTER_SERVICE_HOST": "10.0.0.1", "RL_ROUTER_CONFIG": "x.yaml",
        "RL_ROUTER_SERVER_PORT": "tcp://10.0.0.1:1", "RL_ROUTER_STATE_DIR": "/x", "PATH": "[",
        "XRL_ROUTER_ROUTING__MAX_TURNS": "x", "RL_ROUTER_ROUTER_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    }  # fmt: skip
    assert read(None, others, {}) == Configuration()


def test_a_variable_that_names_a_whole_section_is_refused_with_one_that_names_a_field() -> None:
    message = refusal(RL_ROUTER_SERVER="{port: 1}")
    assert message.startswith("RL_ROUTER_SERVER: is a whole section")
    assert "RL_ROUTER_SERVER__MAX_BODY_BYTES" in message


def test_every_field_can_be_set_by_a_flag() -> None:
    given = flags(
        "--routing.max-turns", "5", "--server.cors-origins", "['*']", "--router.base-url", "http://host:9/v1",
        "--targets", f"[{TARGET}]", "--routing.max-cost", "0.5",
    )  # fmt: skip
    found = read(None, {}, given)
    assert (found.routing.max_turns, found.server.cors_origins) == (5, ("*",))
    assert (found.router.base_url, str(found.routing.max_cost)) == ("http://host:9/v1", "0.5")
    assert found.targets is not None


def test_there_is_a_flag_for_every_field_and_only_given_ones_count() -> None:
    sections = {"router": Configuration().router, "routing": Configuration().routing, "server": Configuration().server}
    for section, model in sections.items():
        for name in type(model).model_fields:
            field = f"{section}.{name}"
            assert flags(f"--{field.replace('_', '-')}", "[1]")[field] in ([1], "[1]")
    assert flags() == {}


@pytest.mark.parametrize("text", ["::", "::1", "7", "yes", "2024-01-01", "a: b", "[x]", "#5", "'7'"])
def test_a_text_is_taken_as_it_stands(text: str) -> None:
    named = read(None, {"RL_ROUTER_SERVER__HOST": text, "RL_ROUTER_ROUTER__MODEL": text}, {})
    assert (named.server.host, named.router.model) == (text, text)
    flagged = read(None, {}, flags("--server.host", text, "--router.model", text))
    assert (flagged.server.host, flagged.router.model) == (text, text)


@pytest.mark.parametrize("text", ["", "null", "~"])
def test_a_text_that_may_be_left_out_can_be_taken_back(file: Path, text: str) -> None:
    file.write_text("router: {model: a, tool_choice: auto}")
    found = read(str(file), {"RL_ROUTER_ROUTER__MODEL": text}, flags("--router.tool-choice", text)).router
    assert (found.model, found.tool_choice) == (None, None)


def test_a_variable_or_a_flag_takes_the_keys_file_back_by_the_word_null_alone(file: Path) -> None:
    file.write_text("server: {api_keys_file: keys.yaml}")

    def named(text: str) -> list[str | None]:
        variable = read(str(file), {"RL_ROUTER_SERVER__API_KEYS_FILE": text}, {})
        flag = read(str(file), {}, flags("--server.api-keys-file", text))
        return [variable.server.api_keys_file, flag.server.api_keys_file]

    assert named("null") == [None, None]
    assert named("~") == ["~", "~"]
    assert "Name the keys file, or write `null`" in refusal(file, RL_ROUTER_SERVER__API_KEYS_FILE="")
    assert "Name the keys file, or write `null`" in refusal(file, flags("--server.api-keys-file", ""))


def test_a_wrong_word_is_repeated_as_it_was_written() -> None:
    assert "(got 'no')" in refusal(RL_ROUTER_ROUTING__PREFER="no")


@pytest.mark.parametrize("value", ["[", "{", "2024-99-99", "'"])
def test_a_flag_that_is_no_yaml_is_refused(value: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="not YAML"):
        flags("--routing.max-turns", value)


@pytest.mark.parametrize("value", ["[", "{", "2024-99-99", "'", "[" * 5_000])
def test_a_variable_that_is_no_yaml_is_named(value: str) -> None:
    assert refusal(RL_ROUTER_ROUTING__MAX_TURNS=value).startswith("RL_ROUTER_ROUTING__MAX_TURNS: is not YAML")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routing: [", "line 1: is not YAML"),
        ("a: 1\nb: c: d", "line 2: is not YAML"),
        ("a: 2024-99-99", "is not YAML"),
        ("a: \x00", "is not YAML"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("[" * 5_000, "is not YAML"),
        ("", "is empty. Write a section (server, router, routing, targets)"),
        ("# nothing", "is empty"),
        ("{}", "is empty"),
        ("server: {api_keys_file: }", "server.api_keys_file: is empty. Name the keys file, or write `null`"),
        ("server:", "server: must be a mapping of fields"),
        ("server: []\ntargets: []", "server: must be a mapping of fields"),
        ("server:\n  api_keys_fi", "server: must be a mapping of fields"),
        ("server: {port: 1}\nserver: {port: 2}", "line 2: is not YAML: duplicate key `server`"),
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
def test_what_is_wrong_in_a_file_is_told_in_one_line_that_names_it(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    message = refusal(file)
    assert message.startswith(f"{file}: ")
    assert says in message
    assert "; targets: " not in message


def test_a_file_that_cannot_be_read_is_named(file: Path, tmp_path: Path) -> None:
    assert "cannot be read" in refusal(file)
    assert "cannot be read" in refusal(tmp_path)
    file.write_bytes(b"router: \xff")
    assert "is not UTF-8" in refusal(file)


def test_several_mistakes_are_told_at_once(file: Path) -> None:
    file.write_text("routing: {max_turns: 0, max_calls: 0}")
    message = refusal(file)
    assert "routing.max_turns" in message
    assert "routing.max_calls" in message


def test_no_flag_or_variable_takes_the_place_of_a_section_that_was_cut(file: Path) -> None:
    for text in ("server:", "server:\n  api_keys_fi", "server: x", "server: []"):
        file.write_text(text)
        assert "server: must be a mapping" in refusal(file, {"server.port": 1})
        assert "server: must be a mapping" in refusal(file, RL_ROUTER_SERVER__PORT="1")


def test_an_unknown_variable_or_flag_of_a_known_section_is_refused() -> None:
    assert "did you mean `max_turns`" in refusal(RL_ROUTER_ROUTING__MAX_TURN="3")
    assert "did you mean `max_turns`" in refusal(None, {"routing.max_turn": 3})


def test_a_mistake_is_told_of_the_variable_or_the_flag_that_made_it(file: Path) -> None:
    file.write_text("routing: {max_turns: 2}")
    turns = {"RL_ROUTER_ROUTING__MAX_TURNS": "0"}
    assert refusal(file, **turns).startswith("RL_ROUTER_ROUTING__MAX_TURNS: routing.max_turns: Input should be greater")
    flagged = refusal(file, {"routing.max_turns": 99}, **turns)
    assert flagged.startswith("--routing.max-turns: routing.max_turns: Input should be less")
    assert refusal(file, RL_ROUTER_TARGETS="[{name: a}]").startswith("RL_ROUTER_TARGETS: targets.0.base_url: ")
    assert refusal(file, RL_ROUTER_ROUTING__MAX_TURN="3").startswith("RL_ROUTER_ROUTING__MAX_TURN: routing: unknown")
    assert refusal(file, {"routing.max_turns": 3}, RL_ROUTER_ROUTER__PRICE="3").startswith("RL_ROUTER_ROUTER__PRICE: ")


def test_a_mistake_of_the_file_is_told_of_the_file_whatever_else_is_set(file: Path) -> None:
    file.write_text("routing: {max_turns: 0}")
    message = refusal(file, {"routing.review": "never"}, RL_ROUTER_ROUTING__MAX_CALLS="2")
    assert message.startswith(f"{file}: routing.max_turns: ")


def test_a_key_that_is_not_unicode_is_refused_like_any_other(file: Path) -> None:
    file.write_text(r'"\ud800": 1')
    assert r"unknown key `\ud800`" in refusal(file)


def test_a_key_written_where_its_name_belongs_is_not_repeated(file: Path) -> None:
    file.write_text("targets: [{name: a, base_url: 'http://a', api_key_env: sk-secret}]")
    assert "sk-secret" not in refusal(file)
    file.write_text("router: {api_key: sk-secret}")
    assert "sk-secret" not in refusal(file)
    file.write_text("router: {base_url: 'ftp://user:sk-secret@host'}")
    assert "sk-secret" not in refusal(file)


def test_a_source_is_read_as_it_is_now(file: Path) -> None:
    source = Source(str(file), {"routing.max_calls": 2})
    assert source.text == b""
    for turns in (1, 2):
        file.write_text(f"routing: {{max_turns: {turns}, max_calls: 9}}")
        assert source.load().configuration.routing.max_turns == turns
        assert source.load().configuration.routing.max_calls == 2
    assert source.text.startswith(b"routing:")
    assert Source().text == b""


def test_after_a_restart_the_last_good_file_still_serves_where_the_new_one_is_wrong(file: Path, tmp_path: Path) -> None:
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


def test_a_first_start_with_a_wrong_file_is_refused(file: Path, tmp_path: Path) -> None:
    file.write_text("routing: {max_turns: many}")
    for state in (None, str(tmp_path)):
        with pytest.raises(ConfigurationError, match="max_turns"):
            Source(str(file), state=state).start()
