"""vLLM's command line is accepted: flags with an effect, ignored flags, and errors."""

import pytest
from rl_router_model import flags


def test_without_flags_the_bundled_model_is_served_on_port_8000_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    options = flags.parse([])
    assert (options.model, options.host, options.port, options.names) == (None, "127.0.0.1", 8000, ())
    assert options.api_keys == ()
    assert (options.decide, options.artefact) == ("policy", "bundled")


@pytest.mark.parametrize(
    "arguments",
    [["--model", "a.gguf"], ["--chat-template", "a"], ["--max-model-len", "9000"], ["--decide", "language-model"]],
)
def test_a_configured_language_model_is_loaded_at_the_start(arguments: list[str]) -> None:
    assert flags.parse([]).loads_later
    assert not flags.parse(arguments).loads_later


def test_several_served_names_and_keys_are_accepted() -> None:
    options = flags.parse(["--served-model-name", "a", "b", "c", "--api-key", "one", "two"])
    assert options.names == ("a", "b", "c")
    assert options.api_keys == ("one", "two")


def test_the_key_may_come_from_vllms_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "from-the-environment")
    assert flags.parse([]).api_keys == ("from-the-environment",)


def test_underscores_and_equal_signs_are_accepted_like_in_vllm() -> None:
    assert flags.parse(["--max_model_len=2048"]).max_model_len == 2048


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tool-call-parser", "hermes"], ["--dtype=bfloat16"], ["-tp", "2"], ["-tp=2"], ["-O3"], ["--enforce-eager"],
        ["--no-enable-prefix-caching"], ["--tensor_parallel_size", "2"], ["--seed", "-1"], ["--rope-theta", "-.5e3"],
        ["--hf-overrides", '{"a": "--port=1 -1"}'], ["--hf-overrides.rope.factor", "2"], ["--override", "-x y"],
        ["--allowed-origins", "a", "b"], ["--model-impl", "auto"], ["--max-num-active-seqs", "9"],
        ["--a-flag-of-a-later-vllm", "1"],
    ],
)  # fmt: skip
def test_other_flags_have_no_effect_and_are_listed_by_name(arguments: list[str]) -> None:
    name = arguments[0].partition("=")[0].replace("_", "-")
    options = flags.parse(["--served-model-name", "a", *arguments, "--port", "9000"])
    assert options.ignored == (name,)
    assert (options.names, options.port) == (("a",), 9000)
    assert flags.parse(["--port", "9000", *arguments]) == flags.parse([*arguments, "--port=9000"])


def test_the_value_of_an_ignored_flag_is_not_listed() -> None:
    options = flags.parse(["--hf-token", "hf_secret", "--hf-token=hf_secret"])
    assert "hf_secret" not in repr(options)


@pytest.mark.parametrize(
    ("typo", "flag"),
    [
        ("--prot", "--port"), ("-port", "--port"), ("--max-model-length", "--max-model-len"), ("--models", "--model"),
        ("--max-seqs", "--max-num-seqs"), ("--api-keys", "--api-key"), ("--ssl-cert=c.pem", "--ssl-certfile"),
    ],
)  # fmt: skip
def test_a_typo_in_a_flag_that_has_an_effect_is_refused(
    typo: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse([typo, "1"])
    assert ended.value.code == 2
    assert f"unknown flag {typo.partition('=')[0]}, did you mean {flag}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "many"], "'many' is not a port"),
        (["--port", "70000"], "'70000' is not a port"),
        (["--max-model-len", "0"], "'0' is not a positive whole number"),
        (["--max-num-seqs", "-1"], "'-1' is not a positive whole number"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile requires --ssl-certfile. Add --ssl-certfile"),
        (["--ssl-ca-certs", "ca.pem"], "--ssl-ca-certs is not supported: "),
        (["--ssl-cert-reqs=2"], "--ssl-cert-reqs is not supported: "),
        (["--port", "--dtype", "auto"], "argument --port: expected one argument"),
        (["stray"], "unrecognized arguments: stray"),
        (["--dtype", "auto", "--port", "1", "stray"], "unrecognized arguments: stray"),
    ],
)
def test_an_error_ends_with_code_2_and_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse(arguments)
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in errors
    assert errors.count("\n") == 1
