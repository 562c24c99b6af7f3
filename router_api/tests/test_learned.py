"""The policy `learned`: what it chooses, what it reports, and what happens if it cannot decide."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl_router_api.errors import ConfigurationError
from rl_router_api.runtime import settings

from fakes.policy.artefacts import overflowing, write_artefact
from fakes.testbed.config_file import ConfigFile
from fakes.testbed.configuration import target
from fakes.testbed.keys import KeysFile, bearer
from fakes.testbed.program import Programs
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import metric, strategy
from fakes.testbed.router import RunningRouter, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text, whole
from fakes.upstreams.exchange import Body

QUALITIES = {"small": 0.5, "medium": 0.7, "large": 0.8}
PRICES = {"small": "0.1", "medium": "1", "large": "10"}
"""The unit is 0.0048 USD. A call with little input costs 0.00001, 0.0001 and 0.001 USD."""
HELLO = [{"role": "user", "content": "Hello"}]
SUMS = "12345 67890 + 24680 13579 = 37026 81469"


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """A folder with one artefact. The target `small` is the best target for prompts that consist of digits."""
    write_artefact(tmp_path / "artefacts" / "first", QUALITIES, digits={"small": 2})
    return tmp_path / "artefacts"


async def targets(testbed: Testbed, **changes: Body) -> list[Body]:
    upstreams = {name: await testbed.upstream(text(name)) for name in PRICES}
    return [
        target(name, upstream.url, price={"input": PRICES[name], "output": PRICES[name]}, **changes.get(name, {}))
        for name, upstream in upstreams.items()
    ]


async def started(testbed: Testbed, artefacts: Path, **routing: Any) -> RunningRouter:
    """Starts a router with the policy `learned`, without the guard."""
    section = {"policy": "learned", "artefacts": str(artefacts), "guard": False, **routing}
    return await testbed.start_router(routing=section, targets=await targets(testbed))


async def chosen(router: RunningRouter, prompt: str = "Hello", **options: Any) -> str:
    body = await router.answer(messages=[{"role": "user", "content": prompt}], router=options)
    return str(body["router_metadata"]["model_used"])


async def test_the_choice_depends_on_the_prompt_and_on_the_goal(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    assert await chosen(router) == "large"
    assert await chosen(router, SUMS) == "small"
    assert await chosen(router, prefer="cost") == "medium"


@pytest.mark.parametrize(
    ("prefer", "name"), [("quality", "large"), (0.05, "large"), ("cost", "medium"), (1e-9, "medium")]
)
async def test_the_goal_may_be_the_worth_of_a_good_answer(
    testbed: Testbed, artefacts: Path, prefer: object, name: str
) -> None:
    by_configuration = await started(testbed, artefacts, prefer=prefer)
    assert await chosen(by_configuration) == name
    by_request = await started(testbed, artefacts)
    assert await chosen(by_request, prefer=prefer) == name


async def test_the_worth_of_a_good_answer_is_rounded_to_steps_of_the_unit(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts)
    unit = (await router.client.get("/")).json()["unit"]
    assert unit == pytest.approx(0.0048, rel=0.01)
    for prefer, units in ((1e-6, 1), (6 * unit, 5), ("balanced", 5), ("quality", 50), (1000, 100)):
        body = await router.answer(router={"prefer": prefer})
        assert float(body["router_metadata"]["decision"]["value"]) == pytest.approx(units * unit)


async def test_seconds_count_if_they_have_a_price(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality", second_price=1000)
    first = await chosen(router)
    # Now the latency of the first target is known, and the other targets seem faster.
    assert await chosen(router) != first


async def test_without_a_proof_one_target_serves(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, guard=True, prefer="quality")
    assert {await chosen(router, prompt) for prompt in ("Hello", SUMS)} == {"large"}
    decision = (await router.answer(messages=[{"role": "user", "content": SUMS}]))["router_metadata"]["decision"]
    assert decision["guard"] == {"verdict": "unproven", "revision": None, "bound": None, "events": 0, "missing": None}
    assert "not proven" in decision["reason"]
    assert decision["chosen"] == "large"


async def test_without_a_proof_the_first_target_of_the_fallback_order_serves(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, guard=True, fallback=["medium", "small"])
    assert await chosen(router, SUMS) == "medium"
    assert await chosen(router, SUMS, models=["large", "small"]) == "small"
    assert await chosen(router, SUMS, models=["large"]) == "large"


async def test_the_limits_of_a_request_hold(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    assert await chosen(router, models=["small", "medium"]) == "medium"
    assert await chosen(router, max_cost=0.001) == "medium"
    refused = await router.send(router={"max_cost": 1e-9})
    assert refused.json()["error"]["code"] == "max_cost_too_low"


async def test_a_target_that_lacks_a_capability_is_not_chosen(testbed: Testbed, artefacts: Path) -> None:
    router = await testbed.start_router(
        routing={"policy": "learned", "artefacts": str(artefacts), "guard": False, "prefer": "quality"},
        targets=await targets(testbed, large={"capabilities": ["tools"]}),
    )
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = await router.answer(messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}])
    assert strategy(body) == ("committed", "medium")


async def test_after_a_failed_call_the_next_best_target_is_called(testbed: Testbed, artefacts: Path) -> None:
    failing = await testbed.upstream(whole({}, status=500))
    router = await testbed.start_router(
        routing={"policy": "learned", "artefacts": str(artefacts), "guard": False, "prefer": "quality"},
        targets=await targets(testbed, large={"base_url": failing.url}),
    )
    metadata = (await router.answer(messages=HELLO))["router_metadata"]
    assert (metadata["model_used"], metadata["turns_used"]) == ("medium", 2)
    # The metadata show the decision at the beginning of the request.
    assert metadata["decision"]["chosen"] == "large"


async def test_a_streamed_request_gets_the_chosen_targets_answer_with_the_decision(
    testbed: Testbed, artefacts: Path
) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    received = await router.stream()
    (metadata,) = [event["router_metadata"] for event in received if "router_metadata" in event]
    assert metadata["routing_strategy"] == "committed"
    assert metadata["decision"]["chosen"] == metadata["model_used"] == "large"


async def test_the_metadata_describe_the_decision(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    metadata = (await router.answer())["router_metadata"]
    decision = metadata["decision"]
    assert set(decision) == {
        "policy", "artefact", "configuration", "guard", "value", "unit", "explored", "chosen", "reason", "candidates",
    }  # fmt: skip
    health = (await router.client.get("/health")).json()
    assert decision["artefact"] == health["policy"]["artefact"]
    assert decision["guard"]["verdict"] == health["policy"]["guard"]["verdict"] == "off"
    assert [each["target"] for each in decision["candidates"]] == list(QUALITIES)
    large = decision["candidates"][2]
    assert set(large) == {"target", "effort", "quality", "preference", "cost", "latency", "propensity"}
    assert (float(large["quality"]), large["propensity"]) == (0.8, Decimal(1))
    assert float(large["cost"]) == pytest.approx(0.001, rel=0.2)
    assert sum(each["propensity"] for each in decision["candidates"]) == 1
    assert router.ledgers[-1]["decision"]["chosen"] == decision["chosen"]
    assert metadata["router_calls"] == []


async def test_the_preview_shows_the_same_decision(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    preview = (await router.client.post("/v1/route", json={"model": "router", "messages": QUESTION})).json()
    assert (preview["decided_by"], preview["policy"]) == ("policy", "learned")
    assert preview["calls"] == [{"target": "large", "arguments": {}}]
    shown = preview["router_metadata"]["decision"]
    made = (await router.answer(messages=QUESTION))["router_metadata"]["decision"]
    assert {**shown, "candidates": None} == {
        **made,
        "candidates": None,
        "value": float(made["value"]),
        "unit": float(made["unit"]),
    }


async def test_other_policies_report_no_decision(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts)
    assert "decision" not in (await router.answer(router={"policy": "fixed"}))["router_metadata"]
    assert "decision" not in (await router.answer(model="small"))["router_metadata"]
    fixed = await testbed.start_router(routing={"policy": "fixed"}, targets=await targets(testbed))
    assert "policy" not in (await fixed.client.get("/health")).json()
    assert "unit" not in (await fixed.client.get("/")).json()


async def test_clients_with_keys_do_not_see_the_policys_health(
    testbed: Testbed, artefacts: Path, tmp_path: Path
) -> None:
    keys = KeysFile(tmp_path / "keys.yaml")
    key = keys.add("somebody")
    router = await testbed.start_router(
        server={"api_keys_file": str(keys.path)},
        routing={"policy": "learned", "artefacts": str(artefacts)},
        targets=await targets(testbed),
    )
    assert (await router.client.get("/health", headers=bearer(key))).json() == {"status": "ok"}
    assert "unit" not in (await router.client.get("/", headers=bearer(key))).json()
    assert (await router.admin("/health")).json()["policy"]["guard"]["verdict"] == "unproven"


async def test_an_error_in_the_policy_fails_no_request(testbed: Testbed, tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefacts", QUALITIES, tensors=overflowing(len(QUALITIES)))
    router = await started(testbed, tmp_path / "artefacts", fallback=["medium"])
    assert strategy(await router.answer()) == ("fallback", "medium")
    (line,) = [line for line in router.log if line["level"] == "error"]
    assert line["message"].startswith("the policy `learned` failed: ")
    assert line["request_id"] == router.ledgers[-1]["request_id"]
    assert metric((await router.client.get("/metrics")).text, "rl_router_policy_errors_total") == 1
    preview = (await router.client.post("/v1/route", json={"model": "router", "messages": QUESTION})).json()
    assert preview["decided_by"] == "fallback"
    assert preview["words"].startswith("the policy `learned` failed: ")


async def test_without_an_artefact_the_fallback_order_decides_until_an_artefact_appears(
    testbed: Testbed, tmp_path: Path
) -> None:
    router = await started(testbed, tmp_path / "artefacts", fallback=["small"], prefer="quality")
    assert strategy(await router.answer()) == ("fallback", "small")
    health = (await router.client.get("/health")).json()
    assert (health["status"], health["policy"]["state"], health["router_model"]["state"]) == (
        "degraded",
        "bad",
        "unused",
    )
    assert "contains no artefact" in health["policy"]["reason"]
    write_artefact(tmp_path / "artefacts" / "first", QUALITIES)
    await until(lambda: router.app.runtime.health().status == "ok", "the artefact")
    assert await chosen(router) == "large"


async def test_a_new_artefact_is_used_and_a_damaged_one_is_refused(testbed: Testbed, artefacts: Path) -> None:
    router = await started(testbed, artefacts, prefer="quality")
    assert await chosen(router) == "large"
    write_artefact(artefacts / "second", {**QUALITIES, "medium": 0.99})
    await until(lambda: [line for line in router.log if "newest artefact" in line["message"]], "the new artefact")
    assert await chosen(router) == "medium"
    router.log.clear()
    shutil.copytree(artefacts / "first", artefacts / "third")
    (artefacts / "third" / "manifest.json").touch()
    (artefacts / "third" / "policy.safetensors").write_bytes(b"damaged")
    await until(lambda: router.app.runtime.health().status == "degraded", "the refusal")
    assert await chosen(router) == "medium"
    (line,) = [line for line in router.log if line["level"] == "error"]
    assert "third/policy.safetensors: the SHA-256 is" in line["message"]
    shutil.copy(artefacts / "first" / "policy.safetensors", artefacts / "third")
    await until(lambda: router.app.runtime.health().status == "ok", "the repaired artefact")
    assert await chosen(router) == "large"


async def test_after_a_restart_the_newest_artefact_that_can_be_read_is_used(testbed: Testbed, artefacts: Path) -> None:
    write_artefact(artefacts / "second", {**QUALITIES, "medium": 0.99}, format=99)
    router = await started(testbed, artefacts, prefer="quality")
    assert await chosen(router) == "large"
    health = (await router.client.get("/health")).json()["policy"]
    assert health["state"] == "bad"
    assert "has the format 99, not 1" in health["reason"]


async def test_a_reloaded_configuration_keeps_the_artefact(
    testbed: Testbed, config_file: ConfigFile, artefacts: Path
) -> None:
    routing = {"policy": "learned", "artefacts": str(artefacts), "guard": False, "prefer": "quality"}
    configuration = {"routing": routing, "targets": await targets(testbed)}
    router = await config_file.start(configuration)
    router.reload({**configuration, "routing": {**routing, "prefer": "cost"}})
    metadata = (await router.send("router", messages=HELLO)).json()["router_metadata"]
    assert metadata["model_used"] == "medium"
    router.reload({**configuration, "routing": {**routing, "guard": True, "fallback": ["small"]}})
    after = (await router.send("router", messages=HELLO)).json()["router_metadata"]
    assert after["model_used"] == "small"
    assert after["decision"]["artefact"] == metadata["decision"]["artefact"]
    assert after["decision"]["configuration"] != metadata["decision"]["configuration"]


def remove(artefacts: Path) -> None:
    shutil.rmtree(artefacts)


def damage_the_newest(artefacts: Path) -> None:
    (artefacts / "second" / "policy.safetensors").write_bytes(b"damaged")


@pytest.mark.parametrize("change", [remove, damage_the_newest])
async def test_a_reloaded_configuration_keeps_the_artefact_in_use_if_it_cannot_be_read_any_more(
    testbed: Testbed, config_file: ConfigFile, artefacts: Path, change: Callable[[Path], None]
) -> None:
    write_artefact(artefacts / "second", {**QUALITIES, "medium": 0.99})
    routing = {"policy": "learned", "artefacts": str(artefacts), "guard": False, "prefer": "quality"}
    configuration = {"routing": routing, "targets": await targets(testbed)}
    router = await config_file.start(configuration)
    change(artefacts)
    router.reload({**configuration, "routing": {**routing, "max_turns": 2}})
    metadata = (await router.send("router", messages=HELLO)).json()["router_metadata"]
    assert (metadata["model_used"], metadata["routing_strategy"]) == ("medium", "committed")
    assert router.app.runtime.health().status == "degraded"


SIZE = 3
"""The position of the size in a profile."""


@pytest.mark.parametrize("fields", [{"profile": {"parameters_billion": 400}}, {"model": "Big-400B-Instruct"}])
async def test_a_target_that_was_never_seen_is_judged_by_its_size(
    testbed: Testbed, tmp_path: Path, fields: Body
) -> None:
    by_size = np.zeros((1, 7, 3), np.float32)
    by_size[0, SIZE, 0] = 1
    write_artefact(tmp_path / "artefacts", {"other": 0.5}, tensors={"outcomes.profile": by_size})
    router = await testbed.start_router(
        routing={"policy": "learned", "artefacts": str(tmp_path / "artefacts"), "guard": False, "prefer": "quality"},
        targets=await targets(testbed, medium=fields),
    )
    assert await chosen(router) == "medium"


async def test_a_target_may_have_another_name_than_the_model_that_the_policy_was_trained_on(
    testbed: Testbed, tmp_path: Path
) -> None:
    write_artefact(tmp_path / "artefacts", {"gpt-9": 0.4, "Fine-7B": 0.9})
    router = await testbed.start_router(
        routing={"policy": "learned", "artefacts": str(tmp_path / "artefacts"), "guard": False, "prefer": "quality"},
        targets=await targets(testbed, small={"model": "maker/fine-7b"}, medium={"model": "openai/gpt-9"}),
    )
    candidates = (await router.answer())["router_metadata"]["decision"]["candidates"]
    assert {each["target"]: round(float(each["quality"]), 3) for each in candidates} == {
        "small": 0.9,
        "medium": 0.4,
        "large": 0.5,
    }
    assert await chosen(router) == "small"


async def test_every_worker_decides_by_the_policy(testbed: Testbed, programs: Programs, artefacts: Path) -> None:
    routing = {"policy": "learned", "artefacts": str(artefacts), "guard": False, "prefer": "quality"}
    entries = await targets(testbed)
    program = await programs.start({"server": {"workers": 2}, "routing": routing, "targets": entries})
    for worker in program.workers():
        with program.only(worker):
            metadata = (await program.send(model="router")).json()["router_metadata"]
            assert metadata["decision"]["chosen"] == metadata["model_used"] == "large"
    write_artefact(artefacts / "second", {**QUALITIES, "medium": 0.99})

    async def both_switched() -> bool:
        answers = [(await program.send(model="router")).json()["router_metadata"]["model_used"] for _ in range(8)]
        return set(answers) == {"medium"}

    await until(both_switched, "the new artefact in both workers")


def test_other_policies_do_not_load_the_libraries_of_the_policy() -> None:
    modules = "import sys, rl_router_api.server.worker, rl_router_api.server.app, rl_router_api.policies"
    code = f"{modules}; print({{'numpy', 'safetensors'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.parametrize("library", ["numpy", "safetensors"])
def test_without_its_libraries_the_policy_is_refused(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ConfigurationError, match=f"needs the Python package {library}. Install RL Router with the extra"
    ):
        settings.read(None, {"RL_ROUTER_ROUTING__POLICY": "learned"}, {})
