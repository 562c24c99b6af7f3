"""Authentication with API keys, the daily limits of each key, and CORS."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from rl_router_api.access.admission import Admission
from rl_router_api.access.day_counters import DayCounters, make_counter_table
from rl_router_api.access.keys import new_key, read_keys
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.recorders import EndedRequest
from rl_router_api.config import Price
from rl_router_api.errors import ApiError, KeysError
from rl_router_api.health import ExitCode

from fakes.testbed.configuration import PRICE, router_section, target
from fakes.testbed.keys import KeysFile, bearer
from fakes.testbed.log import LogLines
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import ERROR_FIELDS
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import after, text
from fakes.upstreams.exchange import Body

GUARDED = [("GET", "/"), ("GET", "/v1/models"), ("GET", "/v1/models/alpha"), ("GET", "/metrics"),
           ("GET", "/debug/tools"), ("GET", "/docs"), ("GET", "/openapi.json"), ("POST", "/v1/route"),
           ("POST", "/v1/chat/completions"),
           ("GET", "/v1/chat/completions"), ("GET", "/nowhere"), ("GET", "/health/"), ("GET", "//health"),
           ("GET", "/ready/../metrics"), ("OPTIONS", "/metrics")]  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> KeysFile:
    return KeysFile(tmp_path / "keys.yaml")


async def guarded(testbed: Testbed, keys: KeysFile, **server: Any) -> Setup:
    """Starts a router that requires keys, with one target."""
    return await testbed.start(None, text("a"), server={"api_keys_file": str(keys.path), **server})


async def send(setup: Setup, key: str, **fields: Any) -> httpx.Response:
    body = {"model": "alpha", "messages": QUESTION, **fields}
    return await setup.client.post("/v1/chat/completions", headers=bearer(key), json=body)


def reload(setup: Setup) -> None:
    setup.router.app.runtime.reload()


# Creation of keys.


def test_new_key_prints_a_key_and_the_entry_that_admits_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rl_router_api", "new-key", "Zoë's laptop"]
    printed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    key = printed.partition("once: ")[2].partition("\n")[0]
    entry = printed.partition("api_keys_file:\n")[2]
    assert len(key) >= 40
    assert key not in entry
    (tmp_path / "keys.yaml").write_text(entry, encoding="utf-8")
    admission = Admission(read_keys(str(tmp_path / "keys.yaml")), DayCounters())
    admitted = admission.authenticate(f"Bearer {key}")
    assert admitted is not None
    assert admitted.name == "Zoë's laptop"


def test_every_new_key_is_different() -> None:
    assert len({new_key("somebody")[0] for _ in range(100)}) == 100


def test_the_keys_file_contains_only_the_hash_of_a_key(keys: KeysFile) -> None:
    key = keys.add("somebody")
    assert key not in keys.path.read_text()
    assert key not in repr(read_keys(str(keys.path)))


# Authentication.


async def test_a_key_in_the_file_is_admitted(testbed: Testbed, keys: KeysFile) -> None:
    keys.add("somebody")
    key = keys.add("somebody else")
    setup = await guarded(testbed, keys)
    assert (await send(setup, key)).status_code == 200
    for scheme in ("bearer", "BEARER"):
        response = await setup.client.get("/v1/models", headers={"Authorization": f"{scheme} {key}"})
        assert response.status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_every_path_requires_a_key(testbed: Testbed, keys: KeysFile, method: str, path: str) -> None:
    keys.add("somebody")
    setup = await guarded(testbed, keys)
    address = str(setup.client.base_url).rstrip("/")
    # Sets the raw path, because httpx would normalize a path.
    url = httpx.URL(address).copy_with(raw_path=path.encode())
    response = await setup.client.request(method, url)
    assert response.status_code == 401
    error = response.json()["error"]
    assert error.keys() == ERROR_FIELDS
    assert error["code"] == "invalid_api_key"
    assert not setup.alpha.requests


async def test_health_and_ready_need_no_key_and_health_reports_only_the_status(
    testbed: Testbed, keys: KeysFile
) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    ready, health = await setup.client.get("/ready"), await setup.client.get("/health")
    assert (ready.status_code, health.status_code) == (200, 200)
    assert health.json() == {"status": "ok"}
    assert (await setup.client.get("/health", headers=bearer(key))).json() == {"status": "ok"}


async def test_without_keys_health_reports_every_field(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    assert (await setup.client.get("/health")).json().keys() == {"status", "configuration", "router_model", "targets"}


INVALID_HEADERS: list[Callable[[str], str]] = [
    lambda key: "", lambda key: key, lambda key: "Bearer", lambda key: f"Basic {key}",
    lambda key: f"Bearer {key[:-1]}", lambda key: f"Bearer {key}x", lambda key: f"Bearer {key} {key}",
    lambda key: f"Bearer {key.upper()}", lambda key: "Bearer schlüssel", lambda key: "Bearer " + "k" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("header_of", INVALID_HEADERS, ids=range(len(INVALID_HEADERS)))
async def test_a_header_without_a_key_of_the_file_is_a_401(
    testbed: Testbed, keys: KeysFile, header_of: Callable[[str], str]
) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    header = header_of(key).encode("latin-1")
    body = {"model": "alpha", "messages": QUESTION}
    response = await setup.client.post("/v1/chat/completions", headers={b"Authorization": header}, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"
    assert "x-request-id" in response.headers
    assert not setup.alpha.requests


async def test_the_hash_of_a_key_is_not_admitted(testbed: Testbed, keys: KeysFile) -> None:
    keys.add("somebody")
    setup = await guarded(testbed, keys)
    (entry,) = read_keys(str(keys.path))
    assert (await send(setup, entry.sha256)).status_code == 401


async def test_if_the_keys_file_is_missing_nobody_is_admitted(testbed: Testbed, keys: KeysFile) -> None:
    setup = await guarded(testbed, keys)
    assert (await setup.client.get("/v1/models")).status_code == 401
    assert (await send(setup, "anything")).status_code == 401
    assert (await setup.client.get("/health")).status_code == 200


async def test_if_the_keys_file_is_empty_nobody_is_admitted(testbed: Testbed, keys: KeysFile) -> None:
    keys.write("")
    setup = await guarded(testbed, keys)
    assert (await send(setup, "anything")).status_code == 401


SHA = "a" * 64


@pytest.mark.parametrize(("text", "field"), [
    (f"- {{sha256: {SHA}}}", "0.name"), (f"- {{name: '', sha256: {SHA}}}", "0.name"),
    ("- {name: a, sha256: abc}", "0.sha256"),
    (f"- {{name: a, sha256: {SHA}, requests_per_day: 0}}", "0.requests_per_day"),
    (f"- {{name: a, sha256: {SHA}, usd_per_day: -1}}", "0.usd_per_day"),
    (f"- {{name: a, sha256: {SHA}, requests_per_dai: 1}}", "requests_per_day"),
    (f"- {{name: a, sha256: {SHA}}}\n- {{name: a, sha256: {'b' * 64}}}", "`a`"),
    (f"- {{name: a, sha256: {SHA}}}\n- {{name: b, sha256: {SHA}}}", "`a` and `b`"),
    (f"- name: a\n  sha256: {SHA}\n  requests_per_day: 1\n  requests_per_day: 9",
     "line 4: the file is not valid YAML: duplicate key `requests_per_day`"),
    (f"- {{name: a, sha256: {SHA}}}\n- {{name: b, sha256: {'b' * 64}, 'sha256': {SHA}}}", "duplicate key `sha256`"),
    (f"- {{name: a, sha256: {SHA}, usd_per_day: 1, usd_per_day:}}", "duplicate key `usd_per_day`"),
    (f"name: a\nsha256: {SHA}", "keys.yaml"), ("{{{", "keys.yaml"), ("just words", "keys.yaml"),
    ("{}", "not a list"), ("0", "not a list"), ("false", "not a list"), ('""', "not a list"),
    ("- {name: 2024-13-45}", "keys.yaml"), ("[" * 500, "keys.yaml"),
])  # fmt: skip
def test_an_invalid_keys_file_is_refused_and_the_error_names_the_field(keys: KeysFile, text: str, field: str) -> None:
    keys.write(text)
    with pytest.raises(KeysError) as refused:
        read_keys(str(keys.path))
    (line,) = str(refused.value).splitlines()
    assert field in line
    assert "keys.yaml" in line


def test_an_error_does_not_show_a_key_that_was_written_in_place_of_its_hash(keys: KeysFile) -> None:
    key, _ = new_key("somebody")
    keys.write(f"- {{name: somebody, sha256: {key}}}")
    with pytest.raises(KeysError) as refused:
        read_keys(str(keys.path))
    assert key not in str(refused.value)
    assert "`rl-router new-key NAME` prints a valid entry" in str(refused.value)


def test_a_keys_file_that_is_not_text_is_refused(keys: KeysFile) -> None:
    keys.path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeysError, match=r"keys\.yaml"):
        read_keys(str(keys.path))


def test_a_server_does_not_start_with_an_invalid_keys_file(keys: KeysFile) -> None:
    keys.write("- {name: a, sha256: abc}")
    command = [sys.executable, "-m", "rl_router_api", "--server.api-keys-file", str(keys.path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.KEYS_FILE
    (line,) = ended.stderr.splitlines()
    assert "0.sha256" in line


# Rotation of keys.


async def test_keys_are_added_and_removed_without_a_restart(testbed: Testbed, keys: KeysFile) -> None:
    old = keys.add("old")
    setup = await guarded(testbed, keys)
    new = keys.add("new")
    keys.remove("old")

    async def admitted() -> bool:
        return (await send(setup, new)).status_code == 200

    await until(admitted, "the new key")
    assert (await send(setup, old)).status_code == 401


async def test_if_the_keys_file_is_deleted_nobody_is_admitted(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    keys.path.unlink()
    reload(setup)
    assert (await send(setup, key)).status_code == 401


async def test_an_invalid_keys_file_leaves_the_old_keys_and_health_reports_it(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    keys.make_invalid()
    reload(setup)
    assert (await send(setup, key)).status_code == 200
    health = setup.router.app.runtime.health()
    assert (health.status, health.configuration.state) == ("degraded", "refused")
    assert "0.sha256" in (health.configuration.reason or "")
    assert health.configuration.file == str(keys.path)
    assert (await setup.client.get("/health")).json() == {"status": "degraded"}
    keys.write()
    reload(setup)
    assert (await setup.client.get("/health")).json() == {"status": "ok"}


async def test_a_running_request_finishes_after_its_key_is_removed(testbed: Testbed, keys: KeysFile) -> None:
    released = asyncio.Event()
    slow = after(released, text("a"))
    key = keys.add("somebody")
    setup = await testbed.start(
        None, slow, server={"api_keys_file": str(keys.path)}, changes={"alpha": {"timeout": 30}}
    )
    request = asyncio.create_task(send(setup, key))
    await until(lambda: setup.alpha.requests, "the call")
    keys.remove("somebody")
    reload(setup)
    released.set()
    assert (await request).status_code == 200
    assert setup.router.ledgers[0]["key"] == "somebody"


# Daily limits.


def seconds_until_midnight() -> float:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)


def assert_used_up(response: httpx.Response) -> None:
    assert response.status_code == 429
    error = response.json()["error"]
    assert error.keys() == ERROR_FIELDS
    assert error["code"] == "insufficient_quota"
    assert response.headers["x-should-retry"] == "false"
    # The wait ends at midnight UTC. Around midnight, the server and the test may see different days.
    wait = int(response.headers["retry-after"])
    assert 0 < wait <= 86_401
    remaining = seconds_until_midnight()
    assert abs(wait - remaining) < 30 or remaining > 86_370


async def test_a_key_is_limited_to_its_requests_per_day(testbed: Testbed, keys: KeysFile) -> None:
    key, other = keys.add("somebody", requests_per_day=2), keys.add("other")
    setup = await guarded(testbed, keys)
    assert [(await send(setup, key)).status_code for _ in range(2)] == [200, 200]
    assert_used_up(await send(setup, key))
    assert_used_up(await send(setup, key, stream=True))
    assert len(setup.alpha.requests) == 2
    assert (await send(setup, other)).status_code == 200
    assert (await setup.client.get("/v1/models", headers=bearer(key))).status_code == 200


async def test_a_key_is_limited_to_its_dollars_per_day(testbed: Testbed, keys: KeysFile) -> None:
    cost = (10 * Decimal(PRICE["input"]) + 5 * Decimal(PRICE["output"])) / 1_000_000
    key = keys.add("somebody", usd_per_day=str(cost * 2))
    setup = await guarded(testbed, keys)
    for stream in (False, True):
        assert (await send(setup, key, stream=stream)).status_code == 200
    await until(lambda: len(setup.router.ledgers) == 2, "the ledgers")
    assert_used_up(await send(setup, key))
    assert len(setup.alpha.requests) == 2


async def test_the_cost_of_the_router_model_counts_for_the_key(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody", usd_per_day="0.000001")
    free = {"price": {}}
    limited = {"server": {"api_keys_file": str(keys.path)}, "changes": {"alpha": free, "beta": free}}
    setup = await testbed.start(None, None, None, **limited)
    assert (await send(setup, key, model="router")).status_code == 200
    assert_used_up(await send(setup, key, model="router"))


async def test_a_preview_counts_as_a_request_and_its_cost_counts_for_the_key(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=10, usd_per_day="0.000001")
    setup = await guarded(testbed, keys)
    body = {"model": "router", "messages": QUESTION}
    assert (await setup.client.post("/v1/route", headers=bearer(key), json=body)).status_code == 200
    assert_used_up(await setup.client.post("/v1/route", headers=bearer(key), json=body))
    assert len(setup.model.requests) == 1


async def test_a_reload_does_not_reset_the_daily_counters(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=1)
    setup = await guarded(testbed, keys)
    await send(setup, key)
    keys.add("another")
    reload(setup)
    assert_used_up(await send(setup, key))


async def test_a_raised_limit_keeps_the_requests_counted_that_day(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=1)
    setup = await guarded(testbed, keys)
    await send(setup, key)
    keys.write(keys.path.read_text().replace("requests_per_day: 1", "requests_per_day: 2"))
    reload(setup)
    assert (await send(setup, key)).status_code == 200
    assert_used_up(await send(setup, key))


def admitted(admission: Admission, key: str) -> bool:
    entry = admission.authenticate(f"Bearer {key}")
    assert entry is not None
    try:
        admission.begin(entry)
    except ApiError as error:
        assert (error.status, error.code) == (429, "insufficient_quota")
        return False
    return True


def spent(dollars: str) -> Ledger:
    """Returns the ledger of a request that cost `dollars`."""
    ledger = Ledger("req-1")
    ledger.open_target_call("alpha", "call_alpha", Price(request=Decimal(dollars)), 0).close("ok")
    ledger.close()
    return ledger


def test_dollars_are_counted_only_for_keys_with_a_dollar_limit(keys: KeysFile) -> None:
    keys.add("limited", usd_per_day="1")
    keys.add("free")
    counters = DayCounters()
    admission = Admission(read_keys(str(keys.path)), counters)
    for name in ("limited", "free", "unknown", None):
        admission.record(EndedRequest(spent("0.25"), 200, key=name))
    assert [counters.get(f"usd:{name}") for name in ("limited", "free", "unknown")] == [250_000_000_000, 0, 0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_daily_limits_hold_over_all_workers(keys: KeysFile, tmp_path: Path) -> None:
    counted, paid = keys.add("counted", requests_per_day=3), keys.add("paid", usd_per_day="0.3")
    table = make_counter_table(str(tmp_path))
    workers = [Admission(read_keys(str(keys.path)), DayCounters(table)) for _ in range(2)]
    assert [admitted(workers[number % 2], counted) for number in range(5)] == [True, True, True, False, False]
    for worker in workers:
        assert admitted(worker, paid)
        worker.record(EndedRequest(spent("0.15"), 200, key="paid"))
    assert [admitted(worker, paid) for worker in workers] == [False, False]


# The log.


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_a_request_without_a_valid_key_is_logged_and_counted(testbed: Testbed, keys: KeysFile, path: str) -> None:
    keys.add("somebody")
    setup = await guarded(testbed, keys)
    headers = {"Authorization": "Bearer sk-somebody-elses", "x-request-id": "mine"}
    response = await setup.client.post(path, headers=headers, json={"model": "alpha", "messages": QUESTION})
    assert response.status_code == 401
    (line,) = setup.router.ledgers
    assert (line["status"], line["request_id"], line["total_cost"]) == (401, "mine", 0)
    assert "sk-somebody-elses" not in str(setup.router.log)
    metrics = await setup.router.admin("/metrics")
    assert 'rl_router_requests_total{status="401",strategy="none"} 1.0' in metrics.text


async def test_the_log_names_the_key_and_never_shows_it(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    await send(setup, key)
    assert setup.router.ledgers[0]["key"] == "somebody"
    await send(setup, f"{key}-wrong")
    (entry,) = read_keys(str(keys.path))
    logged = str(setup.router.log)
    assert key not in logged
    assert entry.sha256 not in logged


async def test_the_owner_of_a_key_sees_no_configuration_no_health_of_upstreams_and_no_metrics(
    testbed: Testbed, keys: KeysFile
) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    setup.client.headers.update(bearer(key))
    assert (await setup.client.get("/")).json().keys() == {"service", "version", "models"}
    assert (await setup.client.get("/health")).json() == {"status": "ok"}
    assert (await setup.client.get("/metrics")).status_code == 404
    address = setup.alpha.url.removeprefix("http://").partition("/")[0]
    pages = [await setup.client.get(path) for path in ("/", "/health", "/metrics", "/debug/tools", "/v1/models")]
    assert not [page for page in pages if address in page.text]


async def test_no_page_contains_a_key_or_its_hash(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    (entry,) = read_keys(str(keys.path))
    for path in ("/", "/metrics", "/debug/tools"):
        page = (await setup.client.get(path, headers=bearer(key))).text
        assert key not in page
        assert entry.sha256 not in page


async def test_a_clients_key_is_not_sent_to_upstreams(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys)
    await send(setup, key)
    assert "authorization" not in setup.alpha.requests[0].headers


async def warnings_of(testbed: Testbed, log: list[Body], **server: Any) -> list[str]:
    """Returns the warnings that a server with these fields logs when it starts."""
    model, alpha = await testbed.upstream(), await testbed.upstream()
    # The fixture `log` lacks these warnings, because it is cleared before the router serves.
    handler = LogLines(logging.WARNING)
    logger = logging.getLogger("rl_router")
    logger.addHandler(handler)
    try:
        await testbed.start_router(
            router=router_section(model.url), targets=[target("alpha", alpha.url)], server=server
        )
    finally:
        logger.removeHandler(handler)
    return [line["message"] for line in handler.lines]


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("::", True), ("192.0.2.1", True),
                                              ("127.0.0.1", False), ("localhost", False), ("::1", False)])  # fmt: skip
async def test_a_server_without_keys_on_a_public_address_logs_a_warning(
    testbed: Testbed, log: list[Body], host: str, warned: bool
) -> None:
    warnings = await warnings_of(testbed, log, host=host)
    assert any("api_keys_file" in warning for warning in warnings) == warned


async def test_a_server_with_keys_logs_no_warning(testbed: Testbed, keys: KeysFile, log: list[Body]) -> None:
    keys.add("somebody")
    assert not await warnings_of(testbed, log, host="0.0.0.0", api_keys_file=str(keys.path))


# CORS.

ORIGIN = "https://app.example"


def preflight(client: httpx.AsyncClient, origin: str = ORIGIN) -> Any:
    fields = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return client.options("/v1/chat/completions", headers={"Origin": origin, **fields})


async def test_a_page_of_an_allowed_origin_may_send_requests(testbed: Testbed, keys: KeysFile) -> None:
    key = keys.add("somebody")
    setup = await guarded(testbed, keys, cors_origins=[ORIGIN])
    allowed = await preflight(setup.client)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    for stream in (False, True):
        body = {"model": "alpha", "messages": QUESTION, "stream": stream}
        answer = await setup.client.post(
            "/v1/chat/completions", headers={"Origin": ORIGIN, **bearer(key)}, json=body
        )  # fmt: skip
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "x-router-model", "x-router-cost"} <= set(exposed.replace(" ", "").split(","))


async def test_a_page_of_an_allowed_origin_may_read_errors(testbed: Testbed, keys: KeysFile) -> None:
    keys.add("somebody")
    setup = await guarded(testbed, keys, cors_origins=[ORIGIN])
    body = {"model": "alpha", "messages": QUESTION}
    response = await setup.client.post("/v1/chat/completions", headers={"Origin": ORIGIN}, json=body)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_a_page_of_another_origin_may_not_send_requests(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, server={"cors_origins": [ORIGIN]})
    refused = await preflight(setup.client, "https://other.example")
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = await setup.client.get("/v1/models", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_an_asterisk_allows_every_origin(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, server={"cors_origins": ["*"]})
    assert (await preflight(setup.client)).headers["access-control-allow-origin"] == "*"


async def test_without_cors_origins_no_cors_header_is_sent(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    answer = await setup.client.get("/v1/models", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (await preflight(setup.client)).status_code == 405
