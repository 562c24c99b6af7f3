"""An upstream: its URLs, its key and headers, its free slots and its state."""

from pathlib import Path
from typing import Any

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Secret, Target
from rl_router_api.errors import CallFailedError, NoCapacityError
from rl_router_api.upstreams.call import complete
from rl_router_api.upstreams.key import Key
from rl_router_api.upstreams.transport import HttpTransport
from rl_router_api.upstreams.upstream import Upstream, upstream_of
from rl_router_api.version import __version__


def upstream(**fields: Any) -> Upstream:
    return upstream_of(Target.model_validate({"name": "alpha", "base_url": "http://a:1/v1/", **fields}))


def keyed(path: Path, text: str = "sk-very-secret\n", **fields: Any) -> Upstream:
    path.write_text(text)
    return upstream(api_key_file=str(path), **fields)


def test_its_urls_are_below_its_base_url_and_have_its_query() -> None:
    assert upstream().calls_url == "http://a:1/v1/chat/completions"
    assert upstream(query={"api-version": "2024 10", "b": "&"}).url("/models") == (
        "http://a:1/v1/models?api-version=2024+10&b=%26"
    )


def test_a_key_is_read_from_the_current_environment() -> None:
    environment: dict[str, str] = {}
    key = Key(Secret(api_key_env="A_KEY"), environment)
    assert (key.configured, key.value, key.missing) == (True, "", "A_KEY is not set")
    environment["A_KEY"] = " sk-1\n"
    assert (key.value, key.missing) == ("sk-1", None)
    environment["A_KEY"] = "  "
    assert key.missing == "A_KEY is empty"


def test_a_key_is_read_from_a_file_without_the_newline(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    key = Key(Secret(api_key_file=str(tmp_path / "key")))
    assert (key.value, key.missing) == ("sk-1", None)


def test_a_key_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    now = [100.0]
    key = Key(Secret(api_key_file=str(tmp_path / "key")), now=lambda: now[0])
    for text in ("sk-1", "sk-2", ""):
        (tmp_path / "key").write_text(text)
        now[0] += 1
        assert key.value == text
    (tmp_path / "key").unlink()
    now[0] += 1
    assert key.missing is not None


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_an_empty_or_invalid_key_file_is_a_missing_key(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    missing = Key(Secret(api_key_file=str(tmp_path / "key"))).missing
    assert missing is not None
    assert missing.endswith("is missing, empty or unreadable")


def test_without_a_configured_key_no_key_is_missing() -> None:
    key = Key(Secret())
    assert (key.configured, key.value, key.missing) == (False, "", None)


HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "User-Agent": f"rl-router/{__version__}",
}


def test_its_key_and_its_own_headers_are_sent(tmp_path: Path) -> None:
    headers = keyed(tmp_path / "key", headers={"X-Team": "a"}).headers("00-trace")
    assert headers == {**HEADERS, "X-Team": "a", "Authorization": "Bearer sk-very-secret", "traceparent": "00-trace"}


def test_without_a_key_no_authorization_is_sent() -> None:
    assert upstream().headers() == HEADERS


def test_the_key_can_have_a_header_of_its_own(tmp_path: Path) -> None:
    headers = keyed(tmp_path / "key", api_key_header="api-key").headers()
    assert headers == {**HEADERS, "api-key": "sk-very-secret"}


def test_a_configured_header_replaces_the_one_that_the_router_would_send(tmp_path: Path) -> None:
    headers = keyed(tmp_path / "key", headers={"user-agent": "ours/1"}).headers()
    assert [value for name, value in headers.items() if name.lower() == "user-agent"] == ["ours/1"]


def test_keys_and_secrets_are_redacted_in_its_messages(tmp_path: Path) -> None:
    alpha = keyed(tmp_path / "key", headers={"api-key": "header-secret"}, query={"code": "query-secret", "v": "1"})
    message = alpha.redact("bad key sk-very-secret (header-secret, query-secret) in version 1; sk-very-secret")
    assert "secret" not in message
    assert message.startswith("bad key *** ")
    assert "version 1" in message


def test_a_secret_is_redacted_before_a_message_is_cut(tmp_path: Path) -> None:
    message = keyed(tmp_path / "key").redact("x" * 495 + "sk-very-secret")
    assert len(message) <= 500
    assert "sk-" not in message


def test_without_secrets_a_message_is_not_changed() -> None:
    assert upstream().redact("no such model") == "no such model"


def test_it_is_not_ready_during_a_cooldown() -> None:
    alpha = upstream()
    assert alpha.ready
    alpha.cooldown.rate_limited(1_000)
    assert not alpha.ready
    alpha.cooldown.rate_limited(0)
    assert alpha.ready


def test_calls_in_flight_are_counted() -> None:
    alpha = upstream()
    alpha.begin()
    alpha.begin()
    assert alpha.in_flight == 2
    alpha.end()
    assert alpha.in_flight == 1
    alpha.end()
    assert alpha.in_flight == 0


def test_a_call_without_a_free_slot_does_not_begin() -> None:
    alpha = upstream(max_in_flight=2)
    alpha.begin()
    alpha.begin()
    assert alpha.free_slots == 0
    with pytest.raises(NoCapacityError):
        alpha.begin()
    assert alpha.in_flight == 2
    alpha.end()
    alpha.begin()


async def test_a_call_without_a_free_slot_fails_and_costs_nothing() -> None:
    alpha, entry = upstream(max_in_flight=1), Ledger("r").open_target_call("alpha", "call_alpha", None, 10)
    alpha.begin()
    transport = HttpTransport()
    with pytest.raises(CallFailedError, match="no free slot") as failed:
        await complete(alpha, transport, b"{}", entry)
    await transport.close()
    assert (failed.value.status, failed.value.retriable) == (429, False)
    assert (entry.status, entry.cost, entry.tokens) == ("error", 0, 0)
    assert alpha.in_flight == 1


def test_its_state_is_the_result_of_its_last_call() -> None:
    alpha = upstream()
    assert (alpha.known, alpha.last_error, alpha.latency) == (False, None, None)
    alpha.failed(alpha.begin(), "answered 401", counts=False)
    assert (alpha.known, alpha.last_error) == (True, "answered 401")
    alpha.succeeded(2.0)
    assert (alpha.last_error, alpha.latency) == (None, 2.0)


def test_its_latency_is_a_slow_moving_average() -> None:
    alpha = upstream()
    alpha.succeeded(1.0)
    alpha.succeeded(2.0)
    assert alpha.latency is not None
    assert 1.0 < alpha.latency < 1.5


def test_only_failures_that_count_open_its_breaker() -> None:
    refusing, failing = upstream(), upstream()
    for _ in range(9):
        refusing.failed(refusing.begin(), "answered 400", counts=False)
        failing.failed(failing.begin(), "refused the connection", counts=True)
    assert refusing.ready
    assert not failing.ready
    assert failing.breaker.state == "open"
