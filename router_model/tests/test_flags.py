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
        ["--tool-call-parser", "hermes"], ["--tensor-parallel-size", "2"], ["-tp", "2"], ["--enforce-eager"],
        ["--gpu-memory-utilization", "0.9"], ["--dtype", "bfloat16"], ["--enable-auto-tool-choice"],
        ["--shutdown-timeout", "30"], ["--trust-remote-code"], ["--no-enable-prefix-caching"],
    ],
)  # fmt: skip
def test_flags_without_effect_are_accepted_and_listed(arguments: list[str]) -> None:
    options = flags.parse([*arguments, "--port", "9000"])
    assert options.ignored == (arguments[0],)
    assert options.port == 9000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prot", "1"], "unknown argument --prot, did you mean --port?"),
        (["--port", "many"], "'many' is not a port"),
        (["--port", "70000"], "'70000' is not a port"),
        (["--max-model-len", "0"], "'0' is not a positive whole number"),
        (["--max-num-seqs", "-1"], "'-1' is not a positive whole number"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile requires --ssl-certfile"),
        (["stray"], "unknown argument stray"),
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
