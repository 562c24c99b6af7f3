"""Configuration and keys are reloaded when their files change, and an invalid file changes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from rl_router_api.access.keys import new_key
from rl_router_api.errors import ConfigurationError, KeysError
from rl_router_api.health import ConfigurationHealth
from rl_router_api.runtime.source import Source
from rl_router_api.server.app import App

from fakes.testbed.configuration import router_section, target
from fakes.testbed.policy_package import install_policy
from fakes.testbed.requests import QUESTION
from fakes.testbed.router import Testbed, run_uvicorn
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text, whole
from fakes.upstreams.exchange import Body, Exchange
from fakes.upstreams.faults import error
from fakes.upstreams.server import Upstream


class Running:
    """A router whose configuration is a file."""

    def __init__(self, app: App, client: httpx.AsyncClient, path: Path) -> None:
        self.app, self.client, self.path = app, client, path

    def write(self, configuration: Body | str) -> None:
        fresh = self.path.with_suffix(".fresh")
        fresh.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration))
        fresh.replace(self.path)

    def take(self, configuration: Body | str) -> None:
        """Writes the file and reloads it at once."""
        self.write(configuration)
        self.app.runtime.reload()

    async def ask(self, model: str = "alpha", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": QUESTION, **fields}
        return await self.client.post("/v1/chat/completions", json=body)

    async def names(self) -> list[str]:
        listed = (await self.client.get("/v1/models")).json()["data"]
        return [each["id"] for each in listed if not each["id"].startswith("router")]

    async def health(self) -> Body:
        return dict((await self.client.get("/health")).json())

    async def refused(self) -> int:
        lines = (await self.client.get("/metrics")).text.splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith("rl_router_configuration_refused ")]
        return int(float(value))

    async def breakers(self) -> set[str]:
        lines = (await self.client.get("/metrics")).text.splitlines()
        return {line for line in lines if line.startswith("rl_router_breaker_open{")}

    async def eventually_names(self, wanted: list[str]) -> None:
        for _ in range(1_000):
            if await self.names() == wanted:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"the targets are {await self.names()}, not {wanted}")


class Files:
    """Starts routers on a configuration file."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.path, self.state = folder / "router.yaml", folder / "state"
        self.state.mkdir()
        self._stack = stack

    async def run(self, configuration: Body | str, *, state: bool = False) -> Running:
        return await self._stack.enter_async_context(self.running(configuration, state=state))

    @asynccontextmanager
    async def running(self, configuration: Body | str, *, state: bool = False) -> AsyncIterator[Running]:
        self.path.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration))
        async with self._serving(state=state) as running:
            yield running

    async def start(self) -> Running:
        """A router on the file as it is."""
        return await self._stack.enter_async_context(self._serving())

    @asynccontextmanager
    async def _serving(self, *, state: bool = False) -> AsyncIterator[Running]:
        source = Source(str(self.path), state=str(self.state) if state else None)
        app = App(source.start(), source)
        async with (
            run_uvicorn(app) as url,
            httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client,
        ):
            yield Running(app, client, self.path)


async def eventually(reached: Callable[[], Awaitable[object]]) -> None:
    """Polls a coroutine function; fails after ten seconds."""
    for _ in range(1_000):
        if await reached():
            return
        await asyncio.sleep(0.01)
    pytest.fail("what was waited for never came")


@pytest.fixture
async def files(testbed: Testbed, tmp_path: Path) -> AsyncIterator[Files]:
    async with AsyncExitStack() as stack:
        yield Files(tmp_path, stack)


async def configured(testbed: Testbed, *answers: Any) -> tuple[Body, list[Upstream]]:
    """A router model and targets called `alpha`, `beta`, with their servers."""
    model = await testbed.upstream()
    asked = [await testbed.upstream(answer) for answer in answers]
    targets = [target(name, each.url, timeout=30) for name, each in zip(("alpha", "beta"), asked, strict=False)]
    return {"router": router_section(model.url), "targets": targets}, asked


def only(configuration: Body, *names: str) -> Body:
    """The same with these targets alone."""
    return {**configuration, "targets": [each for each in configuration["targets"] if each["name"] in names]}


async def test_a_changed_file_is_reloaded(testbed: Testbed, files: Files) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    running = await files.run(only(both, "alpha"))
    assert (await running.send("beta")).status_code == 404
    running.write(both)
    await running.eventually_names(["alpha", "beta"])
    assert (await running.send("beta")).status_code == 200
    running.write(only(both, "beta"))
    await running.eventually_names(["beta"])
    assert (await running.send("alpha")).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_ends_under_the_configuration_it_began_with(
    testbed: Testbed, files: Files, stream: bool
) -> None:
    go_on = asyncio.Event()

    async def fails_late(exchange: Exchange) -> None:
        await go_on.wait()
        await error(500, "broken")(exchange)

    both, (alpha, beta) = await configured(testbed, fails_late, text("b"))
    both["routing"] = {"policy": "fixed", "fallback": ["alpha", "beta"]}
    running = await files.run(both)
    asking = asyncio.create_task(running.send("router", stream=stream))
    await until(lambda: alpha.requests, "the call")
    running.take({**only(both, "alpha"), "routing": {"call_history": "brief", "max_calls": 1}})
    assert await running.names() == ["alpha"]
    go_on.set()
    response = await asking
    assert response.status_code == 200
    assert len(beta.requests) == 1
    assert '"response":' in response.text


WRONG = ["routing: {max_turns: 0}", "rooting: {}", "{{{", "- a list", "targets: []", "routing: {policy: nobodys}",
         "routing: {fallback: [nobody]}\ntargets: [{name: a, base_url: 'http://127.0.0.1:9/v1'}]"]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_invalid_file_is_refused_as_a_whole_and_reported_until_it_is_valid(
    testbed: Testbed, files: Files, wrong: str
) -> None:
    good, _ = await configured(testbed, text("a"))
    running = await files.run(good)
    assert await running.refused() == 0
    running.take(f"server: {{max_in_flight: 1}}\n{wrong}" if wrong[0] in "rt" else wrong)
    assert (await running.send()).status_code == 200
    assert running.app.runtime.configuration.server.max_in_flight > 1
    health = await running.health()
    assert (health["status"], health["configuration"]["state"]) == ("degraded", "refused")
    assert health["configuration"]["reason"]
    assert await running.refused() == 1
    running.take({**good, "routing": {"max_turns": 2}})
    assert (await running.health())["configuration"] == {"state": "ok"}
    assert await running.refused() == 0
    assert running.app.runtime.configuration.routing.max_turns == 2


async def test_a_removed_file_is_refused(testbed: Testbed, files: Files) -> None:
    good, _ = await configured(testbed, text("a"))
    running = await files.run(good)
    running.path.unlink()
    running.app.runtime.reload()
    assert (await running.send()).status_code == 200
    assert (await running.health())["configuration"]["state"] == "refused"


async def test_a_file_that_is_restored_to_the_running_configuration_is_accepted(testbed: Testbed, files: Files) -> None:
    good, _ = await configured(testbed, text("a"))
    running = await files.run(good)
    running.take("nonsense: 1")
    running.take(good)
    assert (await running.health())["configuration"] == {"state": "ok"}


async def test_a_reload_keeps_the_breakers_of_unchanged_targets_only(testbed: Testbed, files: Files) -> None:
    both, _ = await configured(testbed, error(500, "broken"), error(500, "broken"))
    running = await files.run(both)
    for name in ["alpha"] * 5 + ["beta"] * 5:
        await running.send(name)
    alpha, beta = both["targets"]
    running.take({**both, "targets": [alpha, {**beta, "description": "mended"}]})
    states = {each.name: upstream.breaker.state for each, upstream in running.app.runtime.fleet.targets}
    assert states == {"alpha": "open", "beta": "closed"}
    health = await running.health()
    assert health["targets"]["alpha"]["state"] == "bad"


async def test_a_removed_target_has_no_breaker_in_the_metrics(testbed: Testbed, files: Files) -> None:
    both, _ = await configured(testbed, error(500, "broken"), text("b"))
    running = await files.run(both)
    for _ in range(5):
        await running.send("alpha")
    breakers = {'rl_router_breaker_open{model="router"} 0.0', 'rl_router_breaker_open{model="beta"} 0.0'}
    assert await running.breakers() == {'rl_router_breaker_open{model="alpha"} 1.0', *breakers}
    running.take(only(both, "beta"))
    assert await running.breakers() == breakers


async def test_a_changed_target_still_counts_the_calls_that_were_in_flight_before(
    testbed: Testbed, files: Files
) -> None:
    """What is under way at a target counts on, for the old and the new one are the same server."""
    go_on = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await go_on.wait()
        await text("a")(exchange)

    good, (alpha,) = await configured(testbed, slow)
    (described,) = good["targets"]
    running = await files.run({**good, "targets": [{**described, "max_in_flight": 1}]})
    asking = asyncio.create_task(running.send())
    await until(lambda: alpha.requests, "the call")
    running.take({**good, "targets": [{**described, "max_in_flight": 1, "description": "changed"}]})
    assert (await running.send()).status_code == 429
    go_on.set()
    assert (await asking).status_code == 200
    assert (await running.send()).status_code == 200


async def test_a_probe_of_the_router_model_has_its_own_line_in_the_log(
    testbed: Testbed, files: Files, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    await files.run(good)
    await until(lambda: any(line["message"] == "probe" for line in log), "the line")
    (line,) = [line for line in log if line["message"] == "probe"]
    assert line["total_cost"] == line["router_calls"][0]["cost"] == Decimal("0.000007")


async def test_a_reload_that_fails_does_not_stop_the_next_one(
    testbed: Testbed, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[Body]
) -> None:
    """A policy is anybody's code."""
    install_policy(tmp_path / "theirs", "torn", "def create(setup):\n    raise RuntimeError('torn')\n", monkeypatch)
    both, _ = await configured(testbed, text("a"), text("b"))
    running = await files.run(only(both, "alpha"))
    running.write({**both, "routing": {"policy": "torn"}})
    await until(lambda: any("torn" in line.get("exception", "") for line in log), "the error in the log")
    assert await running.names() == ["alpha"]
    running.write(both)
    await running.eventually_names(["alpha", "beta"])


async def test_origins_and_the_log_level_change_without_a_restart(
    testbed: Testbed, files: Files, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    running = await files.run(good)
    origin = "https://app.example"

    async def allowed() -> str | None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await running.client.options("/v1/chat/completions", headers=asked)
        return preflight.headers.get("access-control-allow-origin")

    assert await allowed() is None
    running.take({**good, "server": {"cors_origins": [origin], "log_level": "error"}})
    assert await allowed() == origin
    log.clear()
    assert (await running.send()).status_code == 200
    assert not log
    running.take({**good, "server": {}})
    assert await allowed() is None
    assert (await running.send()).status_code == 200
    assert [line for line in log if line["message"] == "request"]


async def test_fields_that_take_effect_at_the_next_start_are_named(
    testbed: Testbed, files: Files, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    running = await files.run(good)

    def warnings() -> list[str]:
        return [line["message"] for line in log if "after a restart" in line["message"]]

    running.take({**good, "server": {"max_in_flight": 7}})
    assert not warnings()
    running.take({**good, "server": {"max_in_flight": 7, "port": 8802, "workers": 2}})
    (warning,) = warnings()
    assert "server.port, server.workers" in warning


# Kubernetes' volumes: what they show is swapped whole, by a symbolic link.


class Volume:
    """A folder as the kubelet mounts a ConfigMap or a Secret: each file is a link into `..data`, itself a link to the
    folder of the day, which an update replaces at one stroke."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._updates = 0
        folder.mkdir()

    def __truediv__(self, name: str) -> Path:
        return self._folder / name

    def show(self, **files: str) -> None:
        self._updates += 1
        fresh = self._folder / f"..2026_01_01_00_00_00.{self._updates}"
        fresh.mkdir()
        for name, words in files.items():
            (fresh / name).write_text(words)
        link = self._folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self._folder / "..data")
        for gone in [
            path for path in self._folder.iterdir() if path.is_symlink() and path.name not in ("..data", *files)
        ]:
            gone.unlink()
        for name in files:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        for old in [
            path for path in self._folder.iterdir() if path.is_dir() and not path.is_symlink() and path != fresh
        ]:
            shutil.rmtree(old)


async def test_a_configuration_that_kubernetes_swaps_is_reloaded(
    testbed: Testbed, files: Files, tmp_path: Path
) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    volume = Volume(tmp_path / "config")
    volume.show(router=yaml.safe_dump(only(both, "alpha")))
    files.path = volume / "router"
    running = await files.start()
    assert await running.names() == ["alpha"]
    volume.show(router=yaml.safe_dump(both))
    await running.eventually_names(["alpha", "beta"])
    volume.show(router="nonsense: 1")
    await until(lambda: running.app.runtime.refused, "the refusal")
    assert (await running.send("beta")).status_code == 200
    volume.show(router=yaml.safe_dump(only(both, "beta")))
    await running.eventually_names(["beta"])
    assert (await running.health())["configuration"] == {"state": "ok"}


async def test_keys_of_clients_that_kubernetes_swaps_are_reloaded(
    testbed: Testbed, files: Files, tmp_path: Path
) -> None:
    good, _ = await configured(testbed, text("a"))
    (first, first_entry), (second, second_entry) = new_key("first"), new_key("second")
    volume = Volume(tmp_path / "keys")
    running = await files.run({**good, "server": {"api_keys_file": str(volume / "keys")}})

    async def opens(key: str) -> bool:
        running.client.headers["Authorization"] = f"Bearer {key}"
        return (await running.send()).status_code == 200

    async def refuses(key: str) -> bool:
        return not await opens(key)

    async def says_that_it_is_empty() -> bool:
        reason = running.app.runtime.health().configuration.reason
        return reason == f"{volume / 'keys'} contains no keys: nobody is admitted"

    assert not await opens(first)
    file = str(volume / "keys")
    closed = ConfigurationHealth(state="closed", reason=f"{file} does not exist: nobody is admitted", file=file)
    assert running.app.runtime.health().configuration == closed
    volume.show(keys="")
    await eventually(says_that_it_is_empty)
    volume.show(keys=first_entry)
    await eventually(lambda: opens(first))
    assert running.app.runtime.health().configuration.state == "ok"
    volume.show(keys=second_entry)
    await eventually(lambda: opens(second))
    assert not await opens(first)
    volume.show()
    await eventually(lambda: refuses(second))


async def test_a_targets_key_that_kubernetes_swaps_is_used(testbed: Testbed, files: Files, tmp_path: Path) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    volume = Volume(tmp_path / "secret")
    (described,) = good["targets"]
    running = await files.run({**good, "targets": [{**described, "api_key_file": str(volume / "key")}]})
    refused = await running.send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
    assert (await running.health())["targets"]["alpha"]["state"] == "bad"

    async def reached_with(key: str) -> bool:
        return (await running.send()).status_code == 200 and alpha.requests[-1].headers[
            "authorization"
        ] == f"Bearer {key}"

    volume.show(key="first-key")
    await eventually(lambda: reached_with("first-key"))
    volume.show(key="second-key")
    await eventually(lambda: reached_with("second-key"))


async def test_a_target_is_probed_as_soon_as_its_key_appears(testbed: Testbed, files: Files, tmp_path: Path) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    (described,) = good["targets"]
    running = await files.run({**good, "targets": [{**described, "api_key_file": str(tmp_path / "key")}]})
    assert (await running.health())["targets"]["alpha"]["state"] == "bad"
    assert not alpha.models_requests
    (tmp_path / "key").write_text("a-key")
    await until(lambda: alpha.models_requests, "the question")
    assert alpha.models_requests[0].headers["authorization"] == "Bearer a-key"
    await until(lambda: running.app.runtime.health().targets["alpha"].state == "ok", "its state")


# After a restart.


async def test_after_a_restart_a_wrong_file_gives_way_to_the_last_good_one(testbed: Testbed, files: Files) -> None:
    good, _ = await configured(testbed, text("a"))
    async with files.running(good, state=True) as first:
        assert (await first.send()).status_code == 200
    second = await files.run("targets: 3", state=True)
    assert (await second.send()).status_code == 200
    health = await second.health()
    assert (health["status"], health["configuration"]["state"]) == ("degraded", "refused")
    assert "targets" in health["configuration"]["reason"]
    assert await second.refused() == 1
    second.take(good)
    assert (await second.health())["configuration"] == {"state": "ok"}
    assert await second.refused() == 0


async def test_the_last_good_file_is_the_one_that_was_read_last(testbed: Testbed, files: Files) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    async with files.running(both, state=True) as first:
        first.take(only(both, "beta"))
        first.take("nonsense: 1")
    second = await files.run("nonsense: 1", state=True)
    assert await second.names() == ["beta"]


async def test_a_policy_that_does_not_exist_is_never_the_last_good_file(testbed: Testbed, files: Files) -> None:
    good, _ = await configured(testbed, text("a"))
    wrong = {**good, "routing": {"policy": "nobodys"}}
    async with files.running(good, state=True) as first:
        first.take(wrong)
    second = await files.run("nonsense: 1", state=True)
    assert (await second.send()).status_code == 200


def test_without_a_good_file_a_wrong_one_is_an_error(files: Files) -> None:
    files.path.write_text("targets: 3")
    with pytest.raises(ConfigurationError, match="targets"):
        Source(str(files.path), state=str(files.state)).start()


# Keys of upstreams.


async def test_a_new_key_in_its_file_is_used_without_a_restart(testbed: Testbed, files: Files, tmp_path: Path) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    (tmp_path / "key").write_text("first-key\n")
    (described,) = good["targets"]
    running = await files.run({**good, "targets": [{**described, "api_key_file": str(tmp_path / "key")}]})
    await running.send()
    assert alpha.requests[-1].headers["authorization"] == "Bearer first-key"
    (tmp_path / "key").write_text("second-key")

    for _ in range(1_000):
        await running.send()
        if alpha.requests[-1].headers["authorization"] == "Bearer second-key":
            break
        await asyncio.sleep(0.01)
    assert alpha.requests[-1].headers["authorization"] == "Bearer second-key"


async def test_a_target_whose_key_file_is_not_there_is_left_out_until_it_is(
    testbed: Testbed, files: Files, tmp_path: Path
) -> None:
    good, _ = await configured(testbed, text("a"), text("b"))
    alpha, beta = good["targets"]
    running = await files.run({**good, "targets": [{**alpha, "api_key_file": str(tmp_path / "key")}, beta]})
    assert (await running.send("beta")).status_code == 200
    assert (await running.send("alpha")).status_code == 503
    assert (await running.health())["targets"]["alpha"]["state"] == "bad"
    (tmp_path / "key").write_text("a-key")
    for _ in range(1_000):
        if (await running.send("alpha")).status_code == 200:
            break
        await asyncio.sleep(0.01)
    assert (await running.send("alpha")).status_code == 200


# Without configured targets.


async def test_without_targets_the_router_models_names_become_targets_when_it_appears(
    testbed: Testbed, files: Files
) -> None:
    listed = asyncio.Event()

    class Late(Upstream):
        async def _answer(self, exchange: Exchange) -> None:
            if exchange.path.endswith("/models") and not listed.is_set():
                await whole({"error": {"message": "loading"}}, status=503)(exchange)
            else:
                await super()._answer(exchange)

    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(Late(text("a")))
        running = await stack.enter_async_context(
            files.running({"router": {"base_url": model.url, "protocol": "tools"}})
        )
        assert await running.names() == []
        refused = await running.send("router")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
        assert (await running.client.get("/ready")).status_code == 200
        listed.set()
        await running.eventually_names(["listed-model"])
        response = await running.send("router")
        assert response.status_code == 200
        assert response.json()["router_metadata"]["target_models_cost"] == 0
        assert "unpriced" not in response.json()["router_metadata"]["call_history"][0]
        # A reload elsewhere leaves them.
        running.take({"router": {"base_url": model.url, "protocol": "tools"}, "routing": {"max_turns": 2}})
        assert await running.names() == ["listed-model"]


async def test_listed_models_never_replace_the_targets_of_a_reload_that_came_meanwhile(
    testbed: Testbed, files: Files
) -> None:
    go_on, answered = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await go_on.wait()
        await whole({"data": [{"id": "listed-model"}]})(exchange)
        answered.set()

    both, _ = await configured(testbed, text("a"))
    model = await testbed.upstream(text("a"))
    model.models_answer = slow
    router = {"base_url": model.url, "protocol": "tools"}
    running = await files.run({"router": router})
    await until(lambda: model.models_requests, "the question")
    running.take({"router": router, "targets": both["targets"]})
    go_on.set()
    await answered.wait()
    for _ in range(3):
        assert (await running.send()).status_code == 200
    assert await running.names() == ["alpha"]


async def test_a_configuration_that_comes_with_wrong_keys_is_not_the_last_good_one(
    testbed: Testbed, files: Files, tmp_path: Path
) -> None:
    good, _ = await configured(testbed, text("a"))
    (tmp_path / "keys.yaml").write_text("- {name: nobody}")
    async with files.running(good, state=True) as first:
        first.take({**good, "server": {"api_keys_file": str(tmp_path / "keys.yaml")}})
        assert (await first.health())["configuration"]["state"] == "refused"
        assert (await first.send()).status_code == 200
    second = await files.run("nonsense: 1", state=True)
    assert (await second.send()).status_code == 200


# Keys of clients.


KEYS_GONE = {
    "an empty file": "",
    "spaces": " \n\n",
    "a comment": "# server:\n#   api_keys_file: keys.yaml\n",
    "an empty document": "---\n",
    "a document that says null": "null\n",
    "an empty mapping": "{}\n",
    "a file of zeros": "\0" * 64,
    "without the section": "TARGETS",
    "with an empty section": "server:\nTARGETS",
    "with a section of nothing": "server: {}\nTARGETS",
    "with a section of null": "server: null\nTARGETS",
    "with a section without the field": "server:\n  max_in_flight: 7\nTARGETS",
    "with a section that was written twice": "server: {api_keys_file: KEYS}\nserver: {max_in_flight: 7}\nTARGETS",
    "with a field that was cut behind its name": "server:\n  api_keys_file:",
    "with a field without a value": "server:\n  api_keys_file:\nTARGETS",
    "with an empty text": "server: {api_keys_file: ''}\nTARGETS",
    "with a tilde": "server: {api_keys_file: ~}\nTARGETS",
    "with a null from elsewhere": "server: &s\n  api_keys_file: &n\nTARGETS",
    "with another name of the field": "server: {api_key_file: KEYS}\nTARGETS",
    "cut before the section": "TARGETS",
}
"""What a file may become by accident: TARGETS stands for the rest of the configuration, KEYS for the keys' path."""


class Keys:
    """A keys file with one key, and a configuration that wants it."""

    def __init__(self, path: Path, configuration: Body) -> None:
        self.path = path
        self.key, self._entry = new_key("somebody")
        self.configuration: Body = {**configuration, "server": {"api_keys_file": str(path)}}
        self.mend()

    def mend(self) -> None:
        self.path.write_text(self._entry)

    def spoil(self) -> None:
        self.path.write_text("- {name: nobody}")

    async def opens(self, running: Running) -> bool:
        """Whether the key gets in; without one nobody ever does."""
        assert (await running.send()).status_code == 401
        running.client.headers["Authorization"] = f"Bearer {self.key}"
        status = (await running.send()).status_code
        del running.client.headers["Authorization"]
        return status == 200


@pytest.fixture
async def keys(testbed: Testbed, tmp_path: Path) -> Keys:
    good, _ = await configured(testbed, text("a"))
    return Keys(tmp_path / "keys.yaml", good)


async def test_after_a_restart_wrong_keys_give_way_to_the_last_good_ones(
    files: Files, keys: Keys, log: list[Body]
) -> None:
    async with files.running(keys.configuration, state=True) as first:
        assert await keys.opens(first)
    keys.spoil()
    second = await files.run(keys.configuration, state=True)
    assert await keys.opens(second)
    health = second.app.runtime.health()
    assert (health.status, health.configuration.state) == ("degraded", "refused")
    assert "0.sha256" in (health.configuration.reason or "")
    assert [line["level"] for line in log if "0.sha256" in line["message"]] == ["error"]
    keys.mend()
    second.app.runtime.reload()
    assert second.app.runtime.health().configuration.state == "ok"


async def test_keys_that_were_taken_away_before_the_file_went_wrong_stay_so(files: Files, keys: Keys) -> None:
    async with files.running(keys.configuration, state=True) as first:
        keys.path.write_text("[]")
        first.app.runtime.reload()
    keys.spoil()
    second = await files.run(keys.configuration, state=True)
    assert not await keys.opens(second)


async def test_beside_the_last_good_configuration_the_keys_of_now_are_used(files: Files, keys: Keys) -> None:
    async with files.running(keys.configuration, state=True):
        keys.path.write_text("[]")
    second = await files.run("nonsense: 1", state=True)
    assert not await keys.opens(second)


async def test_a_changed_configuration_is_refused_after_a_restart_too_where_its_keys_are_wrong(
    files: Files, keys: Keys
) -> None:
    async with files.running(keys.configuration, state=True):
        pass
    keys.spoil()
    second = await files.run({**keys.configuration, "routing": {"max_turns": 1}}, state=True)
    assert second.app.runtime.configuration.routing.max_turns == 3
    assert await keys.opens(second)


@pytest.mark.parametrize("edit", KEYS_GONE.values(), ids=KEYS_GONE)
async def test_no_accident_with_the_file_opens_a_server(files: Files, keys: Keys, edit: str) -> None:
    running = await files.run(keys.configuration)
    rest = yaml.safe_dump({name: keys.configuration[name] for name in ("router", "targets")})
    running.take(edit.replace("TARGETS", rest).replace("KEYS", str(keys.path)))
    assert await keys.opens(running)
    configuration = running.app.runtime.health().configuration
    assert configuration.state == "refused"
    assert "\n" not in (configuration.reason or "")


@pytest.mark.parametrize("edit", KEYS_GONE.values(), ids=KEYS_GONE)
async def test_nor_does_it_at_a_restart_that_knows_the_last_good_file(files: Files, keys: Keys, edit: str) -> None:
    async with files.running(keys.configuration, state=True):
        pass
    rest = yaml.safe_dump({name: keys.configuration[name] for name in ("router", "targets")})
    second = await files.run(edit.replace("TARGETS", rest).replace("KEYS", str(keys.path)), state=True)
    assert await keys.opens(second)


async def test_a_file_that_is_cut_anywhere_opens_no_server(files: Files, keys: Keys) -> None:
    running = await files.run(keys.configuration)
    whole = yaml.safe_dump({**keys.configuration, "targets": keys.configuration["targets"]}, sort_keys=False)
    server, rest = yaml.safe_dump({"server": keys.configuration["server"]}), whole[: whole.index("server:")]
    for order in (server + rest, rest + server):
        for end in range(len(order)):
            running.take(order[:end])
            assert not running.app.runtime.admission.open, order[:end]


def test_a_file_that_loses_its_keys_between_the_first_look_and_the_start_opens_no_server(
    files: Files, keys: Keys
) -> None:
    files.path.write_text(yaml.safe_dump(keys.configuration))
    for state in (None, str(files.state)):
        source = Source(str(files.path), state=state)
        files.path.write_text(yaml.safe_dump(keys.configuration))
        before = source.start()
        files.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
        started = source.start(before)
        assert (started.keys, "is missing" in str(started.refused)) == (before.keys, True)


@pytest.mark.parametrize("kept", ["unknown: 1", "[", "routing: {fallback: [nobody]}"])
def test_a_last_good_file_that_cannot_be_read_any_more_opens_no_server(files: Files, keys: Keys, kept: str) -> None:
    files.path.write_text(yaml.safe_dump(keys.configuration))
    source = Source(str(files.path), state=str(files.state))
    source.start()
    (copy,) = [path for path in files.state.glob("*.yaml") if "targets" in path.read_text()]
    for told in ([], list(files.state.glob("*.json"))):
        copy.write_text(kept)
        for path in told:
            # As an older version left it.
            path.unlink()
        files.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
        with pytest.raises(ConfigurationError):
            source.start()


def test_keys_that_a_flag_named_are_not_forgotten_with_the_flag(files: Files, keys: Keys) -> None:
    files.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
    flagged = Source(str(files.path), {"server.api_keys_file": str(keys.path)}, str(files.state))
    assert flagged.start().keys
    with pytest.raises(ConfigurationError, match="Name the keys file, or write `null`"):
        Source(str(files.path), {}, str(files.state)).start()
    opened = Source(str(files.path), {"server.api_keys_file": None}, str(files.state)).start()
    assert opened.keys is None
    assert Source(str(files.path), {}, str(files.state)).start().refused is None


def test_a_file_is_known_by_every_spelling_of_its_path(
    files: Files, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.path.write_text(yaml.safe_dump(keys.configuration))
    good = Source(str(files.path), state=str(files.state)).start()
    files.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
    monkeypatch.chdir(files.path.parent)
    assert Source(files.path.name, state=str(files.state)).start().keys == good.keys


@pytest.mark.parametrize("written", ["null", "Null", "NULL", "null  # everybody"])
async def test_only_a_null_that_is_written_out_opens_a_server(files: Files, keys: Keys, written: str) -> None:
    running = await files.run(keys.configuration)
    rest = yaml.safe_dump({name: keys.configuration[name] for name in ("router", "targets")})
    running.take(f"server:\n  api_keys_file: {written}\n{rest}")
    assert (await running.send()).status_code == 200


async def test_a_section_that_went_missing_is_refused_even_if_nobody_needed_a_key(
    testbed: Testbed, files: Files
) -> None:
    good, _ = await configured(testbed, text("a"), text("b"))
    running = await files.run({**good, "server": {"max_in_flight": 7}})
    running.take(only(good, "alpha"))
    assert "server: the section is missing" in (await running.health())["configuration"]["reason"]
    running.take({**only(good, "alpha"), "server": {}})
    assert (await running.health())["configuration"] == {"state": "ok"}
    assert await running.names() == ["alpha"]


async def test_a_file_is_reloaded_when_it_has_not_changed_for_a_second(testbed: Testbed, files: Files) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    running = await files.run(only(both, "alpha"))
    for _ in range(30):
        # As a slow writer does it: never the same for as long as a second.
        running.path.write_text(running.path.read_text() + "\n")
        half = yaml.safe_dump(only(both, "beta"))
        running.path.write_text(half + "#" * _ + "\n")
        await asyncio.sleep(0.1)
        assert await running.names() == ["alpha"]
    running.write(both)
    await running.eventually_names(["alpha", "beta"])


@pytest.mark.parametrize("state", [True, False])
async def test_wrong_keys_open_no_server(files: Files, keys: Keys, state: bool) -> None:
    """Neither a new one nor one that was open before."""
    keys.spoil()
    with pytest.raises(KeysError, match=r"0\.sha256"):
        await files.run(keys.configuration, state=state)
    async with files.running({**keys.configuration, "server": {}}, state=state) as once_open:
        assert (await once_open.send()).status_code == 200
    with pytest.raises(KeysError, match=r"0\.sha256"):
        await files.run(keys.configuration, state=state)


async def test_the_copies_of_the_last_good_files_are_for_their_owner_alone(files: Files, keys: Keys) -> None:
    async with files.running(keys.configuration, state=True):
        copies = list(files.state.iterdir())
    assert len(copies) == 3
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}
    assert not any(keys.key in copy.read_text() for copy in copies)


async def test_without_a_file_for_the_rest_the_last_good_keys_are_kept_too(keys: Keys, files: Files) -> None:
    source = Source(None, {"server.api_keys_file": str(keys.path)}, str(files.state))
    good = source.start()
    keys.spoil()
    again = source.start()
    assert again.keys == good.keys
    assert isinstance(again.refused, KeysError)


async def test_a_server_whose_state_folder_cannot_be_written_warns_and_serves(
    files: Files, keys: Keys, log: list[Body]
) -> None:
    files.state.rmdir()
    running = await files.run(keys.configuration, state=True)
    assert await keys.opens(running)
    assert [line for line in log if "cannot save" in line["message"]]


async def test_keys_that_held_up_a_configuration_are_read_when_they_are_mended(files: Files, keys: Keys) -> None:
    running = await files.run({**keys.configuration, "server": {}})
    keys.spoil()
    running.write(keys.configuration)
    await until(lambda: running.app.runtime.refused, "the refusal")
    keys.mend()
    await until(lambda: not running.app.runtime.admission.open, "the keys")
    assert await keys.opens(running)
