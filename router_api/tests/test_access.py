"""Who gets in, how much of a day each key may use, and what browsers of other origins may do."""

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
import yaml
from rl_router_api.access.admission import Admission
from rl_router_api.access.day_counters import DayCounters, make_counter_table
from rl_router_api.access.keys import new_key, read_keys
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.recorders import EndedRequest
from rl_router_api.config import Price
from rl_router_api.errors import ApiError, KeysError
from rl_router_api.health import ExitCode
from stages import PRICE, QUESTION, Cast, Stage, router_section, target, until
from upstreams import Body, text

SHAPE = {"message", "type", "param", "code"}
GUARDED = [("GET", "/"), ("GET", "/v1/models"), ("GET", "/v1/models/alpha"), ("GET", "/metrics"),
           ("GET", "/debug/tools"), ("GET", "/docs"), ("GET", "/openapi.json"), ("POST", "/v1/route"),
           ("POST", "/v1/chat/completions"),
           ("GET", "/v1/chat/completions"), ("GET", "/nowhere"), ("GET", "/health/"), ("GET", "//health"),
           ("GET", "/ready/../metrics"), ("OPTIONS", "/metrics")]  # fmt: skip


class KeysFile:
    """A keys file, and the keys in it by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: dict[str, str] = {}
        self._entries: list[Body] = []

    def add(self, name: str, **limits: Any) -> str:
        """A new key; returns it."""
        key, entry = new_key(name)
        self.keys[name] = key
        self._entries += [{**yaml.safe_load(entry)[0], **limits}]
        self.write()
        return key

    def remove(self, name: str) -> None:
        self._entries = [entry for entry in self._entries if entry["name"] != name]
        self.write()

    def write(self, words: str | None = None) -> None:
        self.path.write_text(yaml.safe_dump(self._entries) if words is None else words)


@pytest.fixture
def keys(tmp_path: Path) -> KeysFile:
    return KeysFile(tmp_path / "keys.yaml")


async def guarded(stage: Stage, keys: KeysFile, **server: Any) -> Cast:
    """A router with one target, which wants keys."""
    return await stage.routed(None, text("a"), server={"api_keys_file": str(keys.path), **server})


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def ask(cast: Cast, key: str, **fields: Any) -> httpx.Response:
    body = {"model": "alpha", "messages": QUESTION, **fields}
    return await cast.client.post("/v1/chat/completions", headers=bearer(key), json=body)


def reload(cast: Cast) -> None:
    cast.served.app.runtime.reload()


# New keys.


def test_a_new_key_is_printed_with_an_entry_that_lets_it_in(tmp_path: Path) -> None:
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


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key("somebody")[0] for _ in range(100)}) == 100


def test_a_key_is_kept_as_its_hash_alone(keys: KeysFile) -> None:
    key = keys.add("somebody")
    assert key not in keys.path.read_text()
    assert key not in repr(read_keys(str(keys.path)))


# Who gets in.


async def test_a_known_key_gets_in(stage: Stage, keys: KeysFile) -> None:
    keys.add("somebody")
    key = keys.add("somebody else")
    cast = await guarded(stage, keys)
    assert (await ask(cast, key)).status_code == 200
    for scheme in ("bearer", "BEARER"):
        response = await cast.client.get("/v1/models", headers={"Authorization": f"{scheme} {key}"})
        assert response.status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_everything_wants_a_key(stage: Stage, keys: KeysFile, method: str, path: str) -> None:
    keys.add("somebody")
    cast = await guarded(stage, keys)
    address = str(cast.client.base_url).rstrip("/")
    # The path as it is, not as a client would tidy it up.
    url = httpx.URL(address).copy_with(raw_path=path.encode())
    response = await cast.client.request(method, url)
    assert response.status_code == 401
    error = response.json()["error"]
    assert error.keys() == SHAPE
    assert error["code"] == "invalid_api_key"
    assert not cast.alpha.requests


async def test_health_and_ready_are_open_and_health_tells_the_state_alone(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    ready, health = await cast.client.get("/ready"), await cast.client.get("/health")
    assert (ready.status_code, health.status_code) == (200, 200)
    assert health.json() == {"status": "ok"}
    assert (await cast.client.get("/health", headers=bearer(key))).json() == {"status": "ok"}


async def test_without_keys_health_tells_all(stage: Stage) -> None:
    cast = await stage.routed(None, None)
    assert (await cast.client.get("/health")).json().keys() == {"status", "configuration", "router_model", "targets"}


WRONG: list[Callable[[str], str]] = [
    lambda key: "", lambda key: key, lambda key: "Bearer", lambda key: f"Basic {key}",
    lambda key: f"Bearer {key[:-1]}", lambda key: f"Bearer {key}x", lambda key: f"Bearer {key} {key}",
    lambda key: f"Bearer {key.upper()}", lambda key: "Bearer schlüssel", lambda key: "Bearer " + "k" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
async def test_a_header_that_carries_no_known_key_is_a_401(
    stage: Stage, keys: KeysFile, wrong: Callable[[str], str]
) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    header = wrong(key).encode("latin-1")
    body = {"model": "alpha", "messages": QUESTION}
    response = await cast.client.post("/v1/chat/completions", headers={b"Authorization": header}, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"
    assert "x-request-id" in response.headers
    assert not cast.alpha.requests


async def test_the_hash_of_a_key_is_no_key(stage: Stage, keys: KeysFile) -> None:
    keys.add("somebody")
    cast = await guarded(stage, keys)
    (entry,) = read_keys(str(keys.path))
    assert (await ask(cast, entry.sha256)).status_code == 401


async def test_without_the_file_nobody_gets_in(stage: Stage, keys: KeysFile) -> None:
    cast = await guarded(stage, keys)
    assert (await cast.client.get("/v1/models")).status_code == 401
    assert (await ask(cast, "anything")).status_code == 401
    assert (await cast.client.get("/health")).status_code == 200


async def test_an_empty_file_lets_nobody_in(stage: Stage, keys: KeysFile) -> None:
    keys.write("")
    cast = await guarded(stage, keys)
    assert (await ask(cast, "anything")).status_code == 401


SHA = "a" * 64


@pytest.mark.parametrize(("words", "named"), [
    (f"- {{sha256: {SHA}}}", "0.name"), (f"- {{name: '', sha256: {SHA}}}", "0.name"),
    ("- {name: a, sha256: abc}", "0.sha256"),
    (f"- {{name: a, sha256: {SHA}, requests_per_day: 0}}", "0.requests_per_day"),
    (f"- {{name: a, sha256: {SHA}, usd_per_day: -1}}", "0.usd_per_day"),
    (f"- {{name: a, sha256: {SHA}, requests_per_dai: 1}}", "requests_per_day"),
    (f"- {{name: a, sha256: {SHA}}}\n- {{name: a, sha256: {'b' * 64}}}", "`a`"),
    (f"name: a\nsha256: {SHA}", "keys.yaml"), ("{{{", "keys.yaml"), ("just words", "keys.yaml"),
    ("- {name: 2024-13-45}", "keys.yaml"), ("[" * 500, "keys.yaml"),
])  # fmt: skip
def test_a_wrong_file_is_refused_naming_the_field(keys: KeysFile, words: str, named: str) -> None:
    keys.write(words)
    with pytest.raises(KeysError) as refused:
        read_keys(str(keys.path))
    (line,) = str(refused.value).splitlines()
    assert named in line
    assert "keys.yaml" in line


def test_a_key_written_where_its_hash_belongs_is_not_shown(keys: KeysFile) -> None:
    key, _ = new_key("somebody")
    keys.write(f"- {{name: somebody, sha256: {key}}}")
    with pytest.raises(KeysError) as refused:
        read_keys(str(keys.path))
    assert key not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(keys: KeysFile) -> None:
    keys.path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeysError, match=r"keys\.yaml"):
        read_keys(str(keys.path))


def test_a_server_does_not_start_with_a_wrong_file(keys: KeysFile) -> None:
    keys.write("- {name: a, sha256: abc}")
    command = [sys.executable, "-m", "rl_router_api", "--server.api-keys-file", str(keys.path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.KEYS_FILE
    (line,) = ended.stderr.splitlines()
    assert "0.sha256" in line


# Rotation.


async def test_keys_come_and_go_without_a_restart(stage: Stage, keys: KeysFile) -> None:
    old = keys.add("old")
    cast = await guarded(stage, keys)
    new = keys.add("new")
    keys.remove("old")

    async def turned() -> bool:
        return (await ask(cast, new)).status_code == 200

    for _ in range(1_000):
        if await turned():
            break
        await asyncio.sleep(0.01)
    assert (await ask(cast, new)).status_code == 200
    assert (await ask(cast, old)).status_code == 401


async def test_a_file_that_goes_away_takes_all_keys_with_it(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    keys.path.unlink()
    reload(cast)
    assert (await ask(cast, key)).status_code == 401


async def test_a_wrong_file_leaves_the_old_keys_and_health_says_so(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    keys.write("- {name: nobody}")
    reload(cast)
    assert (await ask(cast, key)).status_code == 200
    health = cast.served.app.runtime.health()
    assert (health.status, health.configuration.state) == ("degraded", "refused")
    assert "0.sha256" in (health.configuration.reason or "")
    assert health.configuration.file == str(keys.path)
    assert (await cast.client.get("/health")).json() == {"status": "degraded"}
    keys.write()
    reload(cast)
    assert (await cast.client.get("/health")).json() == {"status": "ok"}


async def test_a_request_under_way_ends_though_its_key_is_gone(stage: Stage, keys: KeysFile) -> None:
    go_on = asyncio.Event()

    async def slow(exchange: Any) -> None:
        await go_on.wait()
        await text("a")(exchange)

    key = keys.add("somebody")
    cast = await stage.routed(None, slow, server={"api_keys_file": str(keys.path)}, changes={"alpha": {"timeout": 30}})
    asking = asyncio.create_task(ask(cast, key))
    await until(lambda: cast.alpha.requests, "the call")
    keys.remove("somebody")
    reload(cast)
    go_on.set()
    assert (await asking).status_code == 200
    assert cast.served.ledgers[0]["key"] == "somebody"


# Limits of a day.


def seconds_until_midnight() -> float:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)


def assert_used_up(response: httpx.Response) -> None:
    assert response.status_code == 429
    error = response.json()["error"]
    assert error.keys() == SHAPE
    assert error["code"] == "insufficient_quota"
    assert response.headers["x-should-retry"] == "false"
    # Until midnight UTC, give or take the request; a test across midnight may see either side of it.
    wait = int(response.headers["retry-after"])
    assert 0 < wait <= 86_401
    left = seconds_until_midnight()
    assert abs(wait - left) < 30 or left > 86_370


async def test_a_key_has_its_requests_of_the_day(stage: Stage, keys: KeysFile) -> None:
    key, other = keys.add("somebody", requests_per_day=2), keys.add("other")
    cast = await guarded(stage, keys)
    assert [(await ask(cast, key)).status_code for _ in range(2)] == [200, 200]
    assert_used_up(await ask(cast, key))
    assert_used_up(await ask(cast, key, stream=True))
    assert len(cast.alpha.requests) == 2
    assert (await ask(cast, other)).status_code == 200
    assert (await cast.client.get("/v1/models", headers=bearer(key))).status_code == 200


async def test_a_key_has_its_dollars_of_the_day(stage: Stage, keys: KeysFile) -> None:
    cost = (10 * Decimal(PRICE["input"]) + 5 * Decimal(PRICE["output"])) / 1_000_000
    key = keys.add("somebody", usd_per_day=str(cost * 2))
    cast = await guarded(stage, keys)
    for stream in (False, True):
        assert (await ask(cast, key, stream=stream)).status_code == 200
    await until(lambda: len(cast.served.ledgers) == 2, "the books")
    assert_used_up(await ask(cast, key))
    assert len(cast.alpha.requests) == 2


async def test_the_router_models_cost_is_the_keys_too(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody", usd_per_day="0.000001")
    free = {"price": {}}
    limited = {"server": {"api_keys_file": str(keys.path)}, "changes": {"alpha": free, "beta": free}}
    cast = await stage.routed(None, None, None, **limited)
    assert (await ask(cast, key, model="router")).status_code == 200
    assert_used_up(await ask(cast, key, model="router"))


async def test_a_preview_counts_as_a_request_and_costs_what_it_costs(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=10, usd_per_day="0.000001")
    cast = await guarded(stage, keys)
    body = {"model": "router", "messages": QUESTION}
    assert (await cast.client.post("/v1/route", headers=bearer(key), json=body)).status_code == 200
    assert_used_up(await cast.client.post("/v1/route", headers=bearer(key), json=body))
    assert len(cast.model.requests) == 1


async def test_a_reload_does_not_give_the_day_anew(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=1)
    cast = await guarded(stage, keys)
    await ask(cast, key)
    keys.add("another")
    reload(cast)
    assert_used_up(await ask(cast, key))


async def test_a_raised_limit_counts_from_where_the_day_stands(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody", requests_per_day=1)
    cast = await guarded(stage, keys)
    await ask(cast, key)
    keys.write(keys.path.read_text().replace("requests_per_day: 1", "requests_per_day: 2"))
    reload(cast)
    assert (await ask(cast, key)).status_code == 200
    assert_used_up(await ask(cast, key))


def admitted(admission: Admission, key: str) -> bool:
    found = admission.authenticate(f"Bearer {key}")
    assert found is not None
    try:
        admission.begin(found)
    except ApiError as error:
        assert (error.status, error.code) == (429, "insufficient_quota")
        return False
    return True


def spent(dollars: str) -> Ledger:
    """The ledger of a request that cost so much."""
    ledger = Ledger("req-1")
    ledger.open_target_call("alpha", "call_alpha", Price(request=Decimal(dollars)), 0).close("ok")
    ledger.close()
    return ledger


def test_only_dollars_of_a_key_with_a_limit_are_counted(keys: KeysFile) -> None:
    keys.add("limited", usd_per_day="1")
    keys.add("free")
    counters = DayCounters()
    admission = Admission(read_keys(str(keys.path)), counters)
    for name in ("limited", "free", "unknown", None):
        admission.record(EndedRequest(spent("0.25"), 200, key=name))
    assert [counters.get(f"usd:{name}") for name in ("limited", "free", "unknown")] == [250_000_000_000, 0, 0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_day_is_one_over_all_workers(keys: KeysFile, tmp_path: Path) -> None:
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
async def test_a_refused_request_is_in_the_log_and_in_the_metrics(stage: Stage, keys: KeysFile, path: str) -> None:
    keys.add("somebody")
    cast = await guarded(stage, keys)
    wrong = {"Authorization": "Bearer sk-somebody-elses", "x-request-id": "mine"}
    response = await cast.client.post(path, headers=wrong, json={"model": "alpha", "messages": QUESTION})
    assert response.status_code == 401
    (line,) = cast.served.ledgers
    assert (line["status"], line["request_id"], line["total_cost"]) == (401, "mine", 0)
    assert "sk-somebody-elses" not in str(cast.served.log)
    known = await cast.client.get("/metrics", headers=bearer(keys.keys["somebody"]))
    assert 'rl_router_requests_total{status="401",strategy="none"} 1.0' in known.text


async def test_the_log_names_the_key_and_never_shows_it(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    await ask(cast, key)
    assert cast.served.ledgers[0]["key"] == "somebody"
    await ask(cast, f"{key}-wrong")
    (entry,) = read_keys(str(keys.path))
    logged = str(cast.served.log)
    assert key not in logged
    assert entry.sha256 not in logged


async def test_no_page_shows_a_key_or_its_hash(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    (entry,) = read_keys(str(keys.path))
    for path in ("/", "/metrics", "/debug/tools"):
        page = (await cast.client.get(path, headers=bearer(key))).text
        assert key not in page
        assert entry.sha256 not in page


async def test_the_clients_key_reaches_no_upstream(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys)
    await ask(cast, key)
    assert "authorization" not in cast.alpha.requests[0].headers


async def warnings_of(stage: Stage, log: list[Body], **server: Any) -> list[str]:
    """What a server with this section warns of when it starts."""
    model, alpha = await stage.upstream(), await stage.upstream()
    seen = _Kept()
    logger = logging.getLogger("rl_router")
    logger.addHandler(seen)
    try:
        await stage.serve(router=router_section(model.url), targets=[target("alpha", alpha.url)], server=server)
    finally:
        logger.removeHandler(seen)
    return seen.warnings


class _Kept(logging.Handler):
    """Warnings; the stage forgets what is logged before it serves."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("::", True), ("192.0.2.1", True),
                                              ("127.0.0.1", False), ("localhost", False), ("::1", False)])  # fmt: skip
async def test_an_open_server_on_a_public_address_is_warned_of(
    stage: Stage, log: list[Body], host: str, warned: bool
) -> None:
    warnings = await warnings_of(stage, log, host=host)
    assert any("api_keys_file" in each for each in warnings) == warned


async def test_a_server_with_keys_is_not_warned_of(stage: Stage, keys: KeysFile, log: list[Body]) -> None:
    keys.add("somebody")
    assert not await warnings_of(stage, log, host="0.0.0.0", api_keys_file=str(keys.path))


# Other origins.

ORIGIN = "https://app.example"


def preflight(client: httpx.AsyncClient, origin: str = ORIGIN) -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return client.options("/v1/chat/completions", headers={"Origin": origin, **asked})


async def test_a_page_of_an_allowed_origin_may_ask(stage: Stage, keys: KeysFile) -> None:
    key = keys.add("somebody")
    cast = await guarded(stage, keys, cors_origins=[ORIGIN])
    allowed = await preflight(cast.client)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    for stream in (False, True):
        body = {"model": "alpha", "messages": QUESTION, "stream": stream}
        answer = await cast.client.post(
            "/v1/chat/completions", headers={"Origin": ORIGIN, **bearer(key)}, json=body
        )  # fmt: skip
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "x-router-model", "x-router-cost"} <= set(exposed.replace(" ", "").split(","))


async def test_a_page_may_read_why_it_was_refused(stage: Stage, keys: KeysFile) -> None:
    keys.add("somebody")
    cast = await guarded(stage, keys, cors_origins=[ORIGIN])
    body = {"model": "alpha", "messages": QUESTION}
    response = await cast.client.post("/v1/chat/completions", headers={"Origin": ORIGIN}, json=body)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_a_page_of_another_origin_may_not(stage: Stage) -> None:
    cast = await stage.routed(None, None, server={"cors_origins": [ORIGIN]})
    refused = await preflight(cast.client, "https://other.example")
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = await cast.client.get("/v1/models", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_every_origin_may_be_allowed(stage: Stage) -> None:
    cast = await stage.routed(None, None, server={"cors_origins": ["*"]})
    assert (await preflight(cast.client)).headers["access-control-allow-origin"] == "*"


async def test_without_cors_origins_no_origin_is_named(stage: Stage) -> None:
    cast = await stage.routed(None, None)
    answer = await cast.client.get("/v1/models", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (await preflight(cast.client)).status_code == 405
