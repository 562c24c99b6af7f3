"""Configuration and keys are reloaded when their files change, and an invalid file changes nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_router_api.access.keys import new_key
from rl_router_api.errors import ConfigurationError, KeysError
from rl_router_api.health import ConfigurationHealth
from rl_router_api.runtime.source import Source
from rl_router_api.runtime.watched_files import WatchedFiles

from fakes.testbed.config_file import ConfigFile, ReloadingRouter
from fakes.testbed.configuration import NAMES, router_section, target
from fakes.testbed.keys import KeysFile, ProtectedConfiguration
from fakes.testbed.policy_package import install_policy
from fakes.testbed.router import Testbed
from fakes.testbed.volume import Volume
from fakes.testbed.waiting import until
from fakes.upstreams.answers import after, text, whole
from fakes.upstreams.exchange import Body, Exchange
from fakes.upstreams.faults import error
from fakes.upstreams.server import Upstream


async def configured(testbed: Testbed, *answers: Any) -> tuple[Body, list[Upstream]]:
    """Starts a router model and targets `alpha` and `beta`. Returns the configuration and the targets."""
    model = await testbed.upstream()
    upstreams = [await testbed.upstream(answer) for answer in answers]
    targets = [target(name, upstream.url, timeout=30) for name, upstream in zip(NAMES, upstreams, strict=False)]
    return {"router": router_section(model.url), "targets": targets}, upstreams


def only(configuration: Body, *names: str) -> Body:
    """Returns the configuration with only these targets."""
    return {**configuration, "targets": [each for each in configuration["targets"] if each["name"] in names]}


async def test_a_changed_file_is_reloaded(testbed: Testbed, config_file: ConfigFile) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    router = await config_file.start(only(both, "alpha"))
    assert (await router.send("beta")).status_code == 404
    router.write(both)
    await router.until_targets(["alpha", "beta"])
    assert (await router.send("beta")).status_code == 200
    router.write(only(both, "beta"))
    await router.until_targets(["beta"])
    assert (await router.send("alpha")).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_keeps_the_configuration_with_which_it_began(
    testbed: Testbed, config_file: ConfigFile, stream: bool
) -> None:
    released = asyncio.Event()
    both, (alpha, beta) = await configured(testbed, after(released, error(500, "broken")), text("b"))
    both["routing"] = {"policy": "fixed", "fallback": ["alpha", "beta"]}
    router = await config_file.start(both)
    request = asyncio.create_task(router.send("router", stream=stream))
    await until(lambda: alpha.requests, "the call")
    router.reload({**only(both, "alpha"), "routing": {"call_history": "brief", "max_calls": 1}})
    assert await router.targets() == ["alpha"]
    released.set()
    response = await request
    assert response.status_code == 200
    assert len(beta.requests) == 1
    assert '"response":' in response.text


INVALID = ["routing: {max_turns: 0}", "rooting: {}", "{{{", "- a list", "targets: []", "routing: {policy: nobodys}",
         "routing: {fallback: [nobody]}\ntargets: [{name: a, base_url: 'http://127.0.0.1:9/v1'}]"]  # fmt: skip


@pytest.mark.parametrize("invalid", INVALID)
async def test_an_invalid_file_is_refused_as_a_whole_and_reported_until_it_is_valid(
    testbed: Testbed, config_file: ConfigFile, invalid: str
) -> None:
    good, _ = await configured(testbed, text("a"))
    router = await config_file.start(good)
    assert await router.refused_metric() == 0
    router.reload(f"server: {{max_in_flight: 1}}\n{invalid}" if invalid[0] in "rt" else invalid)
    assert (await router.send()).status_code == 200
    assert router.app.runtime.configuration.server.max_in_flight > 1
    health = await router.health()
    assert (health["status"], health["configuration"]["state"]) == ("degraded", "refused")
    assert health["configuration"]["reason"]
    assert await router.refused_metric() == 1
    router.reload({**good, "routing": {"max_turns": 2}})
    assert (await router.health())["configuration"] == {"state": "ok"}
    assert await router.refused_metric() == 0
    assert router.app.runtime.configuration.routing.max_turns == 2


async def test_a_removed_file_is_refused(testbed: Testbed, config_file: ConfigFile) -> None:
    good, _ = await configured(testbed, text("a"))
    router = await config_file.start(good)
    router.path.unlink()
    router.app.runtime.reload()
    assert (await router.send()).status_code == 200
    assert (await router.health())["configuration"]["state"] == "refused"


async def test_a_file_that_is_restored_to_the_running_configuration_is_accepted(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    good, _ = await configured(testbed, text("a"))
    router = await config_file.start(good)
    router.reload("nonsense: 1")
    router.reload(good)
    assert (await router.health())["configuration"] == {"state": "ok"}


async def test_a_reload_keeps_the_breakers_of_unchanged_targets_only(testbed: Testbed, config_file: ConfigFile) -> None:
    both, _ = await configured(testbed, error(500, "broken"), error(500, "broken"))
    router = await config_file.start(both)
    for name in ["alpha"] * 5 + ["beta"] * 5:
        await router.send(name)
    alpha, beta = both["targets"]
    router.reload({**both, "targets": [alpha, {**beta, "description": "changed"}]})
    states = {entry.name: upstream.breaker.state for entry, upstream in router.app.runtime.fleet.targets}
    assert states == {"alpha": "open", "beta": "closed"}
    health = await router.health()
    assert health["targets"]["alpha"]["state"] == "bad"


async def test_a_removed_target_has_no_breaker_in_the_metrics(testbed: Testbed, config_file: ConfigFile) -> None:
    both, _ = await configured(testbed, error(500, "broken"), text("b"))
    router = await config_file.start(both)
    for _ in range(5):
        await router.send("alpha")
    breakers = {'rl_router_breaker_open{model="router"} 0.0', 'rl_router_breaker_open{model="beta"} 0.0'}
    assert await router.breaker_metrics() == {'rl_router_breaker_open{model="alpha"} 1.0', *breakers}
    router.reload(only(both, "beta"))
    assert await router.breaker_metrics() == breakers


async def test_a_changed_target_still_counts_the_calls_that_were_in_flight_before(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    """The old and the new target are the same server."""
    released = asyncio.Event()
    good, (alpha,) = await configured(testbed, after(released, text("a")))
    (described,) = good["targets"]
    router = await config_file.start({**good, "targets": [{**described, "max_in_flight": 1}]})
    request = asyncio.create_task(router.send())
    await until(lambda: alpha.requests, "the call")
    router.reload({**good, "targets": [{**described, "max_in_flight": 1, "description": "changed"}]})
    assert (await router.send()).status_code == 429
    released.set()
    assert (await request).status_code == 200
    assert (await router.send()).status_code == 200


async def test_a_probe_of_the_router_model_has_its_own_log_line(
    testbed: Testbed, config_file: ConfigFile, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    await config_file.start(good)
    await until(lambda: any(line["message"] == "probe" for line in log), "the line")
    (line,) = [line for line in log if line["message"] == "probe"]
    assert line["total_cost"] == line["router_calls"][0]["cost"] == Decimal("0.000007")


async def test_a_reload_that_fails_does_not_stop_the_next_one(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[Body]
) -> None:
    """The policy of another package may raise any exception."""
    install_policy(
        tmp_path / "package", "broken", "def create(setup):\n    raise RuntimeError('failed')\n", monkeypatch
    )
    both, _ = await configured(testbed, text("a"), text("b"))
    router = await config_file.start(only(both, "alpha"))
    router.write({**both, "routing": {"policy": "broken"}})
    await until(lambda: any("failed" in line.get("exception", "") for line in log), "the error in the log")
    assert await router.targets() == ["alpha"]
    router.write(both)
    await router.until_targets(["alpha", "beta"])


async def test_origins_and_the_log_level_change_without_a_restart(
    testbed: Testbed, config_file: ConfigFile, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    router = await config_file.start(good)
    origin = "https://app.example"

    async def allowed() -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await router.client.options("/v1/chat/completions", headers=headers)
        return preflight.headers.get("access-control-allow-origin")

    assert await allowed() is None
    router.reload({**good, "server": {"cors_origins": [origin], "log_level": "error"}})
    assert await allowed() == origin
    log.clear()
    assert (await router.send()).status_code == 200
    assert not log
    router.reload({**good, "server": {}})
    assert await allowed() is None
    assert (await router.send()).status_code == 200
    assert [line for line in log if line["message"] == "request"]


async def test_fields_that_take_effect_at_the_next_start_are_named(
    testbed: Testbed, config_file: ConfigFile, log: list[Body]
) -> None:
    good, _ = await configured(testbed, text("a"))
    router = await config_file.start(good)

    def warnings() -> list[str]:
        return [line["message"] for line in log if "after a restart" in line["message"]]

    router.reload({**good, "server": {"max_in_flight": 7}})
    assert not warnings()
    router.reload({**good, "server": {"max_in_flight": 7, "port": 8802, "workers": 2}})
    (warning,) = warnings()
    assert "server.port, server.workers" in warning


# Volumes of Kubernetes, whose files change together through a symbolic link.


async def test_a_configuration_in_a_volume_is_reloaded(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path
) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    volume = Volume(tmp_path / "config")
    volume.update(router=yaml.safe_dump(only(both, "alpha")))
    config_file.path = volume / "router"
    router = await config_file.start_unchanged()
    assert await router.targets() == ["alpha"]
    volume.update(router=yaml.safe_dump(both))
    await router.until_targets(["alpha", "beta"])
    volume.update(router="nonsense: 1")
    await until(lambda: router.app.runtime.refused, "the refusal")
    assert (await router.send("beta")).status_code == 200
    volume.update(router=yaml.safe_dump(only(both, "beta")))
    await router.until_targets(["beta"])
    assert (await router.health())["configuration"] == {"state": "ok"}


async def test_clients_keys_in_a_volume_are_reloaded(testbed: Testbed, config_file: ConfigFile, tmp_path: Path) -> None:
    good, _ = await configured(testbed, text("a"))
    (first, first_entry), (second, second_entry) = new_key("first"), new_key("second")
    volume = Volume(tmp_path / "keys")
    router = await config_file.start({**good, "server": {"api_keys_file": str(volume / "keys")}})

    async def refuses(key: str) -> bool:
        return not await router.admits(key)

    file = str(volume / "keys")
    empty = f"{file} contains no keys: nobody is admitted"
    assert not await router.admits(first)
    closed = ConfigurationHealth(state="closed", reason=f"{file} does not exist: nobody is admitted", file=file)
    assert router.app.runtime.health().configuration == closed
    volume.update(keys="")
    await until(lambda: router.app.runtime.health().configuration.reason == empty, "the reason")
    volume.update(keys=first_entry)
    await until(lambda: router.admits(first), "the first key")
    assert router.app.runtime.health().configuration.state == "ok"
    volume.update(keys=second_entry)
    await until(lambda: router.admits(second), "the second key")
    assert not await router.admits(first)
    volume.update()
    await until(lambda: refuses(second), "the removal of the second key")


async def test_a_targets_key_in_a_volume_is_reloaded(testbed: Testbed, config_file: ConfigFile, tmp_path: Path) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    volume = Volume(tmp_path / "secret")
    (described,) = good["targets"]
    router = await config_file.start({**good, "targets": [{**described, "api_key_file": str(volume / "key")}]})
    refused = await router.send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
    assert (await router.health())["targets"]["alpha"]["state"] == "bad"

    volume.update(key="first-key")
    await until(lambda: sends_key(router, alpha, "first-key"), "the first key")
    volume.update(key="second-key")
    await until(lambda: sends_key(router, alpha, "second-key"), "the second key")


async def test_a_target_is_probed_as_soon_as_its_key_appears(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path
) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    (described,) = good["targets"]
    router = await config_file.start({**good, "targets": [{**described, "api_key_file": str(tmp_path / "key")}]})
    assert (await router.health())["targets"]["alpha"]["state"] == "bad"
    assert not alpha.models_requests
    (tmp_path / "key").write_text("a-key")
    await until(lambda: alpha.models_requests, "the probe")
    assert alpha.models_requests[0].headers["authorization"] == "Bearer a-key"
    await until(lambda: router.app.runtime.health().targets["alpha"].state == "ok", "its state")


# After a restart.


async def test_after_a_restart_with_an_invalid_file_the_last_valid_file_is_used(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    good, _ = await configured(testbed, text("a"))
    async with config_file.running(good, state=True) as first:
        assert (await first.send()).status_code == 200
    second = await config_file.start("targets: 3", state=True)
    assert (await second.send()).status_code == 200
    health = await second.health()
    assert (health["status"], health["configuration"]["state"]) == ("degraded", "refused")
    assert "targets" in health["configuration"]["reason"]
    assert await second.refused_metric() == 1
    second.reload(good)
    assert (await second.health())["configuration"] == {"state": "ok"}
    assert await second.refused_metric() == 0


async def test_the_last_valid_file_is_the_one_that_was_read_last(testbed: Testbed, config_file: ConfigFile) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    async with config_file.running(both, state=True) as first:
        first.reload(only(both, "beta"))
        first.reload("nonsense: 1")
    second = await config_file.start("nonsense: 1", state=True)
    assert await second.targets() == ["beta"]


async def test_a_file_with_an_unknown_policy_is_never_the_last_valid_file(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    good, _ = await configured(testbed, text("a"))
    invalid = {**good, "routing": {"policy": "nobodys"}}
    async with config_file.running(good, state=True) as first:
        first.reload(invalid)
    second = await config_file.start("nonsense: 1", state=True)
    assert (await second.send()).status_code == 200


def test_without_a_valid_copy_an_invalid_file_is_an_error(config_file: ConfigFile) -> None:
    config_file.path.write_text("targets: 3")
    with pytest.raises(ConfigurationError, match="targets"):
        Source(str(config_file.path), state=str(config_file.state)).start()


# Keys of upstreams.


async def test_a_new_key_in_its_file_is_used_without_a_restart(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path
) -> None:
    good, (alpha,) = await configured(testbed, text("a"))
    (tmp_path / "key").write_text("first-key\n")
    (described,) = good["targets"]
    router = await config_file.start({**good, "targets": [{**described, "api_key_file": str(tmp_path / "key")}]})
    await router.send()
    assert alpha.requests[-1].headers["authorization"] == "Bearer first-key"
    (tmp_path / "key").write_text("second-key")
    await until(lambda: sends_key(router, alpha, "second-key"), "the second key")


async def sends_key(router: ReloadingRouter, upstream: Upstream, key: str) -> bool:
    """Sends a request. Returns whether the target answered it and received this key."""
    answered = (await router.send()).status_code == 200
    return answered and upstream.requests[-1].headers["authorization"] == f"Bearer {key}"


async def test_a_target_is_left_out_until_its_key_file_exists(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path
) -> None:
    good, _ = await configured(testbed, text("a"), text("b"))
    alpha, beta = good["targets"]
    router = await config_file.start({**good, "targets": [{**alpha, "api_key_file": str(tmp_path / "key")}, beta]})
    assert (await router.send("beta")).status_code == 200
    assert (await router.send("alpha")).status_code == 503
    assert (await router.health())["targets"]["alpha"]["state"] == "bad"
    (tmp_path / "key").write_text("a-key")

    async def answered() -> bool:
        return (await router.send("alpha")).status_code == 200

    await until(answered, "the key")


# Without configured targets.


async def test_without_targets_the_models_that_the_router_model_lists_become_targets(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    model = await testbed.upstream(text("a"))
    models_answer, model.models_answer = model.models_answer, whole({"error": {"message": "loading"}}, status=503)
    section = {"base_url": model.url, "protocol": "tools"}
    router = await config_file.start({"router": section})
    assert await router.targets() == []
    refused = await router.send("router")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
    assert (await router.client.get("/ready")).status_code == 200
    model.models_answer = models_answer
    await router.until_targets(["listed-model"])
    response = await router.send("router")
    assert response.status_code == 200
    assert response.json()["router_metadata"]["target_models_cost"] == 0
    assert "unpriced" not in response.json()["router_metadata"]["call_history"][0]
    # A reload of another section keeps them.
    router.reload({"router": section, "routing": {"max_turns": 2}})
    assert await router.targets() == ["listed-model"]


async def test_listed_models_do_not_replace_the_targets_of_a_reload_in_the_meantime(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    released, answered = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await released.wait()
        await whole({"data": [{"id": "listed-model"}]})(exchange)
        answered.set()

    both, _ = await configured(testbed, text("a"))
    model = await testbed.upstream(text("a"))
    model.models_answer = slow
    section = {"base_url": model.url, "protocol": "tools"}
    router = await config_file.start({"router": section})
    await until(lambda: model.models_requests, "the request for the models")
    router.reload({"router": section, "targets": both["targets"]})
    released.set()
    await answered.wait()
    for _ in range(3):
        assert (await router.send()).status_code == 200
    assert await router.targets() == ["alpha"]


async def test_a_configuration_with_invalid_keys_is_not_the_last_valid_one(
    testbed: Testbed, config_file: ConfigFile, tmp_path: Path
) -> None:
    good, _ = await configured(testbed, text("a"))
    (tmp_path / "keys.yaml").write_text("- {name: nobody}")
    async with config_file.running(good, state=True) as first:
        first.reload({**good, "server": {"api_keys_file": str(tmp_path / "keys.yaml")}})
        assert (await first.health())["configuration"]["state"] == "refused"
        assert (await first.send()).status_code == 200
    second = await config_file.start("nonsense: 1", state=True)
    assert (await second.send()).status_code == 200


# Keys of clients.


KEYS_GONE = {
    "an empty file": "",
    "spaces": " \n\n",
    "a comment": "# server:\n#   api_keys_file: keys.yaml\n",
    "an empty document": "---\n",
    "a document that says null": "null\n",
    "an empty mapping": "{}\n",
    "zero bytes": "\0" * 64,
    "without the section": "TARGETS",
    "with an empty section": "server:\nTARGETS",
    "with an empty mapping as section": "server: {}\nTARGETS",
    "with null as section": "server: null\nTARGETS",
    "with a section without the field": "server:\n  max_in_flight: 7\nTARGETS",
    "with a section that was written twice": "server: {api_keys_file: KEYS}\nserver: {max_in_flight: 7}\nTARGETS",
    "with a field that was cut after its name": "server:\n  api_keys_file:",
    "with a field without a value": "server:\n  api_keys_file:\nTARGETS",
    "with an empty text": "server: {api_keys_file: ''}\nTARGETS",
    "with a tilde": "server: {api_keys_file: ~}\nTARGETS",
    "with an anchor without a value": "server: &s\n  api_keys_file: &n\nTARGETS",
    "with an alias without an anchor": "server: *s\nTARGETS",
    "with a merge of nothing": "server: {<<: {}}\nTARGETS",
    "with a merge of an alias without an anchor": "server: {<<: *s}\nTARGETS",
    "with a merge over a duplicate field": "server: {<<: {api_keys_file: null}, api_keys_file:}\nTARGETS",
    "with a file to include": "server: !include server.yaml\nTARGETS",
    "with a second document": "TARGETS\n---\nserver: {api_keys_file: KEYS}\n",
    "with the section within another section": "TARGETS\n  server: {api_keys_file: KEYS}\n",
    "with another name of the field": "server: {api_key_file: KEYS}\nTARGETS",
    "cut before the section": "TARGETS",
}
"""Files from which a mistake removed the keys file. TARGETS is the rest of the configuration, KEYS the keys' path."""


@pytest.fixture
async def keys(testbed: Testbed, tmp_path: Path) -> ProtectedConfiguration:
    good, _ = await configured(testbed, text("a"))
    return ProtectedConfiguration(tmp_path / "keys.yaml", good)


async def test_after_a_restart_with_an_invalid_keys_file_the_last_valid_keys_are_used(
    config_file: ConfigFile, keys: ProtectedConfiguration, log: list[Body]
) -> None:
    async with config_file.running(keys.configuration, state=True) as first:
        assert await first.admits(keys.key)
    keys.make_invalid()
    second = await config_file.start(keys.configuration, state=True)
    assert await second.admits(keys.key)
    health = second.app.runtime.health()
    assert (health.status, health.configuration.state) == ("degraded", "refused")
    assert "0.sha256" in (health.configuration.reason or "")
    assert [line["level"] for line in log if "0.sha256" in line["message"]] == ["error"]
    keys.write()
    second.app.runtime.reload()
    assert second.app.runtime.health().configuration.state == "ok"


async def test_removed_keys_stay_removed_after_the_keys_file_becomes_invalid(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    async with config_file.running(keys.configuration, state=True) as first:
        keys.path.write_text("[]")
        first.app.runtime.reload()
    keys.make_invalid()
    second = await config_file.start(keys.configuration, state=True)
    assert not await second.admits(keys.key)


async def test_the_last_valid_configuration_is_used_with_the_current_keys(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    async with config_file.running(keys.configuration, state=True):
        keys.path.write_text("[]")
    second = await config_file.start("nonsense: 1", state=True)
    assert not await second.admits(keys.key)


async def test_a_changed_configuration_with_an_invalid_keys_file_is_refused_after_a_restart_too(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    async with config_file.running(keys.configuration, state=True):
        pass
    keys.make_invalid()
    second = await config_file.start({**keys.configuration, "routing": {"max_turns": 1}}, state=True)
    assert second.app.runtime.configuration.routing.max_turns == 3
    assert await second.admits(keys.key)


@pytest.mark.parametrize("edit", KEYS_GONE.values(), ids=KEYS_GONE)
async def test_no_mistake_in_the_file_disables_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration, edit: str
) -> None:
    router = await config_file.start(keys.configuration)
    rest = keys.without_server()
    router.reload(edit.replace("TARGETS", rest).replace("KEYS", str(keys.path)))
    assert await router.admits(keys.key)
    configuration = router.app.runtime.health().configuration
    assert configuration.state == "refused"
    assert "\n" not in (configuration.reason or "")


REPLACED: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to(path.with_suffix(".gone")),
    "a link to itself": lambda path: path.symlink_to(path),
    "bytes that are no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED)
@pytest.mark.parametrize("which", ["configuration", "keys"])
async def test_no_replacement_of_a_file_disables_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration, which: str, replace: Callable[[Path], object]
) -> None:
    router = await config_file.start(keys.configuration)
    path = router.path if which == "configuration" else keys.path
    path.unlink()
    replace(path)
    router.app.runtime.reload()
    assert (await router.send()).status_code == 401
    assert (await router.health())["status"] == "degraded"


@pytest.mark.parametrize("edit", KEYS_GONE.values(), ids=KEYS_GONE)
async def test_no_mistake_in_the_file_disables_authentication_after_a_restart(
    config_file: ConfigFile, keys: ProtectedConfiguration, edit: str
) -> None:
    async with config_file.running(keys.configuration, state=True):
        pass
    rest = keys.without_server()
    second = await config_file.start(edit.replace("TARGETS", rest).replace("KEYS", str(keys.path)), state=True)
    assert await second.admits(keys.key)


async def test_a_file_that_is_cut_anywhere_does_not_disable_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    router = await config_file.start(keys.configuration)
    full = yaml.safe_dump({**keys.configuration, "targets": keys.configuration["targets"]}, sort_keys=False)
    server, rest = yaml.safe_dump({"server": keys.configuration["server"]}), full[: full.index("server:")]
    for order in (server + rest, rest + server):
        for end in range(len(order)):
            router.reload(order[:end])
            assert not router.app.runtime.admission.open, order[:end]


def test_a_file_that_loses_its_keys_during_the_start_does_not_disable_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    config_file.path.write_text(yaml.safe_dump(keys.configuration))
    for state in (None, str(config_file.state)):
        source = Source(str(config_file.path), state=state)
        config_file.path.write_text(yaml.safe_dump(keys.configuration))
        before = source.start()
        config_file.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
        started = source.start(before)
        assert (started.keys, "is missing" in str(started.refused)) == (before.keys, True)


@pytest.mark.parametrize("kept", ["unknown: 1", "[", "routing: {fallback: [nobody]}"])
def test_an_unreadable_copy_of_the_last_valid_file_does_not_disable_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration, kept: str
) -> None:
    config_file.path.write_text(yaml.safe_dump(keys.configuration))
    source = Source(str(config_file.path), state=str(config_file.state))
    source.start()
    (copy,) = [path for path in config_file.state.glob("*.yaml") if "targets" in path.read_text()]
    for removed in ([], list(config_file.state.glob("*.json"))):
        copy.write_text(kept)
        for path in removed:
            # An older version did not write these.
            path.unlink()
        config_file.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
        with pytest.raises(ConfigurationError):
            source.start()


def test_removing_the_flag_with_the_keys_file_does_not_disable_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    config_file.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
    flagged = Source(str(config_file.path), {"server.api_keys_file": str(keys.path)}, str(config_file.state))
    assert flagged.start().keys
    with pytest.raises(ConfigurationError, match="Name the keys file, or write `null`"):
        Source(str(config_file.path), {}, str(config_file.state)).start()
    opened = Source(str(config_file.path), {"server.api_keys_file": None}, str(config_file.state)).start()
    assert opened.keys is None
    assert Source(str(config_file.path), {}, str(config_file.state)).start().refused is None


def test_the_last_valid_file_is_found_by_a_relative_path_too(
    config_file: ConfigFile, keys: ProtectedConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_file.path.write_text(yaml.safe_dump(keys.configuration))
    good = Source(str(config_file.path), state=str(config_file.state)).start()
    config_file.path.write_text(yaml.safe_dump({**keys.configuration, "server": {}}))
    monkeypatch.chdir(config_file.path.parent)
    assert Source(config_file.path.name, state=str(config_file.state)).start().keys == good.keys


@pytest.mark.parametrize("written", ["null", "Null", "NULL", "null  # everybody"])
async def test_only_an_explicit_null_disables_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration, written: str
) -> None:
    router = await config_file.start(keys.configuration)
    rest = keys.without_server()
    router.reload(f"server:\n  api_keys_file: {written}\n{rest}")
    assert (await router.send()).status_code == 200


async def test_a_removed_section_is_refused_even_without_keys(testbed: Testbed, config_file: ConfigFile) -> None:
    good, _ = await configured(testbed, text("a"), text("b"))
    router = await config_file.start({**good, "server": {"max_in_flight": 7}})
    router.reload(only(good, "alpha"))
    assert "server: the section is missing" in (await router.health())["configuration"]["reason"]
    router.reload({**only(good, "alpha"), "server": {}})
    assert (await router.health())["configuration"] == {"state": "ok"}
    assert await router.targets() == ["alpha"]


async def test_a_file_is_reloaded_when_it_has_not_changed_for_a_second(
    testbed: Testbed, config_file: ConfigFile
) -> None:
    both, _ = await configured(testbed, text("a"), text("b"))
    router = await config_file.start(only(both, "alpha"))
    for count in range(30):
        # A slow writer changes the file more than once per second.
        router.path.write_text(router.path.read_text() + "\n")
        half = yaml.safe_dump(only(both, "beta"))
        router.path.write_text(half + "#" * count + "\n")
        await asyncio.sleep(0.1)
        assert await router.targets() == ["alpha"]
    router.write(both)
    await router.until_targets(["alpha", "beta"])


@pytest.mark.parametrize("state", [True, False])
async def test_an_invalid_keys_file_does_not_disable_authentication(
    config_file: ConfigFile, keys: ProtectedConfiguration, state: bool
) -> None:
    """Neither at the first start nor after a start without keys."""
    keys.make_invalid()
    with pytest.raises(KeysError, match=r"0\.sha256"):
        await config_file.start(keys.configuration, state=state)
    async with config_file.running({**keys.configuration, "server": {}}, state=state) as router:
        assert (await router.send()).status_code == 200
    with pytest.raises(KeysError, match=r"0\.sha256"):
        await config_file.start(keys.configuration, state=state)


READ = {"valid": 1, "empty": 0, "missing": 0}
"""The states of a keys file that the server uses, and the number of keys in the file."""
REJECTED = {"folder": "Is a directory", "unreadable": "symbolic links", "invalid": "0.sha256"}
"""The states of a keys file that the server rejects, and the reason."""
TRANSITIONS = list(itertools.permutations([*READ, *REJECTED], 2))


def bring(path: Path, state: str, valid: bytes) -> None:
    """Brings a file into a state, from any other state."""
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    match state:
        case "valid":
            path.write_bytes(valid)
        case "empty":
            path.write_bytes(b"")
        case "invalid":
            path.write_text("- {name: nobody}")
        case "folder":
            path.mkdir()
        case "unreadable":
            # The superuser can read every file, but nobody can open a link to itself.
            path.symlink_to(path)


@pytest.mark.parametrize(("first", "second"), TRANSITIONS)
def test_each_state_of_the_keys_file_has_the_same_effect_after_any_other_state(
    tmp_path: Path, first: str, second: str
) -> None:
    keys = KeysFile(tmp_path / "keys.yaml")
    keys.add("somebody")
    valid = keys.path.read_bytes()
    source = Source(None, {"server.api_keys_file": str(keys.path)})
    in_use = source.start()
    files = WatchedFiles(in_use, source)
    for state in (first, second):
        expected = READ.get(state, len(in_use.keys or ()))
        bring(keys.path, state, valid)
        for _ in range(4):
            if files.changed() and (loaded := files.read()):
                files.accept(in_use := loaded)
        assert len(in_use.keys or ()) == expected
        assert REJECTED[state] in str(files.refused) if state in REJECTED else files.refused is None
    assert not files.changed()


@pytest.mark.parametrize(("first", "second"), TRANSITIONS)
def test_each_state_of_the_configuration_file_is_reported_after_any_other_state(
    tmp_path: Path, first: str, second: str
) -> None:
    reasons = {"empty": "contains no settings", "missing": "No such file", **REJECTED, "invalid": "must be a mapping"}
    path, valid = tmp_path / "router.yaml", b"server: {max_in_flight: 7}"
    bring(path, "valid", valid)
    source = Source(str(path))
    files = WatchedFiles(source.start(), source)
    for state in (first, second):
        bring(path, state, valid)
        for _ in range(4):
            if files.changed() and (loaded := files.read()):
                files.accept(loaded)
        assert reasons[state] in str(files.refused) if state in reasons else files.refused is None


async def test_only_the_owner_can_read_the_copies_of_the_last_valid_files(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    async with config_file.running(keys.configuration, state=True):
        copies = list(config_file.state.iterdir())
    assert len(copies) == 3
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}
    assert not any(keys.key in copy.read_text() for copy in copies)


async def test_the_last_valid_keys_are_kept_without_a_configuration_file_too(
    keys: ProtectedConfiguration, config_file: ConfigFile
) -> None:
    source = Source(None, {"server.api_keys_file": str(keys.path)}, str(config_file.state))
    good = source.start()
    keys.make_invalid()
    again = source.start()
    assert again.keys == good.keys
    assert isinstance(again.refused, KeysError)


async def test_a_server_that_cannot_write_its_state_folder_logs_a_warning_and_serves(
    config_file: ConfigFile, keys: ProtectedConfiguration, log: list[Body]
) -> None:
    config_file.state.rmdir()
    router = await config_file.start(keys.configuration, state=True)
    assert await router.admits(keys.key)
    assert [line for line in log if "cannot save" in line["message"]]


async def test_a_configuration_that_was_refused_for_its_keys_is_used_after_they_are_repaired(
    config_file: ConfigFile, keys: ProtectedConfiguration
) -> None:
    router = await config_file.start({**keys.configuration, "server": {}})
    keys.make_invalid()
    router.write(keys.configuration)
    await until(lambda: router.app.runtime.refused, "the refusal")
    keys.write()
    await until(lambda: not router.app.runtime.admission.open, "the keys")
    assert await router.admits(keys.key)
