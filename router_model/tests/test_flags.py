"""vLLM's command line is understood: what means something, what is let pass, and what is a mistake."""

import pytest
from rl_router_model import flags


def test_without_flags_the_bundled_model_is_served_on_port_8000_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    options = flags.parse([])
    assert (options.model, options.host, options.port, options.names) == (None, "127.0.0.1", 8000, ())
    assert options.api_keys == ()


def test_several_served_names_and_keys_are_taken() -> None:
    options = flags.parse(["--served-model-name", "a", "b", "c", "--api-key", "one", "two"])
    assert options.names == ("a", "b", "c")
    assert options.api_keys == ("one", "two")


def test_the_key_may_come_from_vllms_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "from-the-environment")
    assert flags.parse([]).api_keys == ("from-the-environment",)


def test_underscores_and_equal_signs_are_taken_as_vllm_takes_them() -> None:
    assert flags.parse(["--max_model_len=2048"]).max_model_len == 2048


@pytest.mark.parametrize(
    "given",
    [
        ["--tool-call-parser", "hermes"], ["--tensor-parallel-size", "2"], ["-tp", "2"], ["--enforce-eager"],
        ["--gpu-memory-utilization", "0.9"], ["--dtype", "bfloat16"], ["--enable-auto-tool-choice"],
        ["--shutdown-timeout", "30"], ["--trust-remote-code"], ["--no-enable-prefix-caching"],
    ],
)  # fmt: skip
def test_flags_without_meaning_here_are_accepted_and_named(given: list[str]) -> None:
    options = flags.parse([*given, "--port", "9000"])
    assert options.ignored == (given[0],)
    assert options.port == 9000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--prot", "1"], "unknown argument --prot, did you mean --port?"),
        (["--port", "many"], "many is no port"),
        (["--port", "70000"], "70000 is no port"),
        (["--max-model-len", "0"], "0 is no positive whole number"),
        (["--max-num-seqs", "-1"], "-1 is no positive whole number"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile goes with --ssl-certfile"),
        (["stray"], "unknown argument stray"),
    ],
)
def test_a_mistake_ends_with_code_2_and_one_line(
    given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse(given)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said
    assert said.count("\n") == 1
