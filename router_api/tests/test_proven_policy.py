"""A proven policy serves, for the targets and the value of a good answer of its claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl_router_policy.artefact import load_artefact
from rl_router_policy.claims import Claim
from rl_router_policy.evidence import Identity
from rl_router_policy.situation import Price
from rl_router_policy.wire import situation_from

from fakes.policy.artefacts import EMBEDDING, write_artefact
from fakes.policy.evidence import evidence, write_claims
from fakes.testbed.config_file import ConfigFile
from fakes.testbed.configuration import router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.router import RunningRouter, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import in_turn, text, whole
from fakes.upstreams.bodies import decision
from fakes.upstreams.exchange import Body

PRICES = {"large": "10", "small": "1"}
SUMS = "12345 67890 + 24680 13579 = 37026 81469"
HELLO = [{"role": "user", "content": "Hello"}]
UNIT = 0.00715
"""The mean cost of a usual call to the two targets."""


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """An artefact that prefers `small` for prompts that consist of digits, with a proof at 5 units."""
    folder = write_artefact(tmp_path / "artefacts" / "first", {"large": 0.9, "small": 0.5}, digits={"small": 3})
    claim(folder)
    return folder


def claim(folder: Path, *, models: Sequence[str] = ("large", "small"), prompts: int = 200, **fields: Any) -> None:
    """Writes the claim that the policy is right for each prompt, and each target for half of the prompts."""
    scores = np.tile([[1.0, 0.0], [0.0, 1.0]], (prompts // 2, 1))
    targets = tuple([Identity(name, model) for name, model in zip(PRICES, models, strict=True)])
    prices = [Price(float(price), float(price)) for price in PRICES.values()]
    found = evidence(tuple(PRICES), scores, scores, prices, targets=targets)
    stated = Claim(**{"evidence": found, "units": 5, "test": 1, **fields})
    write_claims(folder, load_artefact(folder, EMBEDDING).hash, [stated])


async def targets(testbed: Testbed, prices: dict[str, str] = PRICES, **changes: Body) -> list[Body]:
    upstreams = {name: await testbed.upstream(text(name)) for name in prices}
    return [
        target(
            name, upstream.url, **{"price": {"input": prices[name], "output": prices[name]}, **changes.get(name, {})}
        )
        for name, upstream in upstreams.items()
    ]


async def started(testbed: Testbed, artefact: Path, listed: list[Body] | None = None, **routing: Any) -> RunningRouter:
    section = {"policy": "learned", "artefacts": str(artefact.parent), **routing}
    return await testbed.start_router(routing=section, targets=listed or await targets(testbed))


async def decided(router: RunningRouter, prompt: str = SUMS, **options: Any) -> tuple[str, str]:
    """Returns the verdict and the chosen target."""
    body = await router.answer(messages=[{"role": "user", "content": prompt}], router=options)
    explained = body["router_metadata"]["decision"]
    return explained["guard"]["verdict"], body["router_metadata"]["model_used"]


async def verdict(router: RunningRouter) -> Any:
    return (await router.client.get("/health")).json()["policy"]["guard"]


async def test_a_proven_policy_chooses(testbed: Testbed, artefact: Path) -> None:
    router = await started(testbed, artefact)
    assert await decided(router) == ("proven", "small")
    assert await decided(router, "Hello") == ("proven", "large")
    guard = await verdict(router)
    assert (guard["verdict"], guard["revision"], guard["events"], guard["missing"]) == ("proven", 7, 200, 0)
    assert 0.4 < guard["bound"] < 0.5
    assert (await router.client.get("/")).json()["guard"] == "proven"
    preview = (await router.client.post("/v1/route", json={"model": "router", "messages": QUESTION})).json()
    assert preview["router_metadata"]["decision"]["guard"] == guard


async def test_a_claim_is_about_one_value_of_a_good_answer(testbed: Testbed, artefact: Path) -> None:
    router = await started(testbed, artefact)
    assert (await decided(router, prefer="quality"))[0] == "unproven"
    assert (await decided(router, prefer=5.2 * UNIT))[0] == "proven"
    assert (await decided(router, prefer=20 * UNIT))[0] == "unproven"
    assert (await verdict(await started(testbed, artefact, prefer="cost")))["verdict"] == "unproven"


async def test_without_a_proof_the_best_target_of_the_evidence_serves(testbed: Testbed, artefact: Path) -> None:
    claim(artefact, test=30)
    router = await started(testbed, artefact)
    # Both targets have the same scores, and `small` costs less. The artefact expects more of `large`.
    assert await decided(router, "Hello") == ("unproven", "small")
    assert await decided(await started(testbed, artefact, fallback=["large"]), "Hello") == ("unproven", "large")


async def test_changed_prices_count_at_once(testbed: Testbed, config_file: ConfigFile, artefact: Path) -> None:
    # The policy expects so little of a better answer that it always chooses `small` at the prices of the evidence.
    scores = np.tile([[1.0, 0.0], [0.0, 1.0]], (100, 1))
    found = evidence(tuple(PRICES), scores, 0.49 + 0.02 * scores, [Price(10, 10), Price(1, 1)])
    write_claims(artefact, load_artefact(artefact, EMBEDDING).hash, [Claim(found, 5, 1)])
    listed = await targets(testbed)
    routing = {"policy": "learned", "artefacts": str(artefact.parent)}
    router = await config_file.start({"routing": routing, "targets": listed})

    async def guard() -> Any:
        return (await router.send("router", messages=HELLO)).json()["router_metadata"]["decision"]["guard"]["verdict"]

    assert await guard() == "unproven"
    router.reload({"routing": routing, "targets": [{**each, "price": {"input": 1, "output": 1}} for each in listed]})
    assert await guard() == "proven"
    router.reload({"routing": routing, "targets": listed})
    assert await guard() == "unproven"


async def test_a_price_of_each_request_counts(testbed: Testbed, artefact: Path) -> None:
    prices = [{"input": price, "output": price} for price in PRICES.values()]
    for request, expected in (("0", "proven"), ("1", "unproven")):
        changed = {"price": {**prices[0], "request": request}}
        router = await started(testbed, artefact, await targets(testbed, large=changed))
        assert await decided(router) == (expected, "small")
        assert (await decided(router, "Hello"))[1] == ("large" if expected == "proven" else "small")


async def test_another_served_model_has_no_proof(testbed: Testbed, artefact: Path) -> None:
    router = await started(testbed, artefact, await targets(testbed, large={"model": "large-2027"}))
    assert (await decided(router))[0] == "unproven"
    claim(artefact, models=("large-2027", "small"))
    router = await started(testbed, artefact, await targets(testbed, large={"model": "large-2027"}))
    assert (await decided(router))[0] == "proven"


async def test_a_renamed_target_has_no_proof(testbed: Testbed, artefact: Path) -> None:
    renamed = await targets(testbed, {"big": "10", "small": "1"}, big={"model": "large"})
    assert (await decided(await started(testbed, artefact, renamed)))[0] == "unproven"


async def test_a_new_target_is_left_out_of_a_proven_policy(testbed: Testbed, artefact: Path) -> None:
    listed = await targets(testbed, {**PRICES, "new": "1"}, new={"profile": {"parameters_billion": 900}})
    router = await started(testbed, artefact, listed)
    body = await router.answer(messages=[{"role": "user", "content": SUMS}])
    explained = body["router_metadata"]["decision"]
    assert (explained["guard"]["verdict"], explained["chosen"]) == ("proven", "small")
    assert [each["target"] for each in explained["candidates"]] == ["large", "small"]
    assert await decided(router, models=["new", "large"]) == ("proven", "large")
    assert (await decided(router, models=["new", "small"]))[1] == "small"


async def test_a_policy_without_a_proof_against_the_first_fallback_target_does_not_serve(
    testbed: Testbed, artefact: Path
) -> None:
    listed = await targets(testbed, {**PRICES, "new": "1"})
    assert await decided(await started(testbed, artefact, listed, fallback=["new", "large"])) == ("unproven", "new")
    assert await decided(await started(testbed, artefact, listed, fallback=["large", "new"])) == ("proven", "small")


async def test_a_request_with_fewer_targets_gets_the_policys_choice_among_these(
    testbed: Testbed, artefact: Path
) -> None:
    names = ("large", "middle", "small")
    folder = write_artefact(artefact.parent / "three", {"large": 0.9, "middle": 0.8, "small": 0.5})
    scores = np.tile(np.eye(3), (60, 1))
    found = evidence(names, scores, scores, [Price(float(price), float(price)) for price in (10, 5, 1)])
    write_claims(folder, load_artefact(folder, EMBEDDING).hash, [Claim(found, 50, 1)])
    listed = await targets(testbed, {"large": "10", "middle": "5", "small": "1"})
    router = await started(testbed, folder, listed, prefer="quality")
    assert await decided(router) == ("proven", "large")
    assert await decided(router, models=["middle", "small"]) == ("proven", "middle")


@pytest.mark.parametrize(("units", "expected"), [(None, "proven"), (5, "unproven")])
async def test_without_prices_only_a_claim_about_quality_counts(
    testbed: Testbed, artefact: Path, units: int | None, expected: str
) -> None:
    claim(artefact, units=units)
    router = await started(testbed, artefact, await targets(testbed, {"large": "0", "small": "0"}))
    assert (await decided(router))[0] == expected
    assert (await decided(router, prefer="cost"))[0] == expected


async def test_a_price_of_seconds_leaves_the_policy_unproven(testbed: Testbed, artefact: Path) -> None:
    assert (await decided(await started(testbed, artefact, second_price=0.001)))[0] == "unproven"


@pytest.mark.parametrize(("margin", "expected"), [(0, "unproven"), (0.02, "safe"), (1, "safe")])
async def test_the_margin_lets_a_policy_serve_that_is_probably_better(
    testbed: Testbed, artefact: Path, margin: float, expected: str
) -> None:
    # The policy chooses `small` for 40 prompts, and is right for 22 of these.
    scores = np.array([[1.0, 0.0]] * 700 + [[0.0, 1.0]] * 300)
    chosen = np.array([[1.0, 0.0]] * 682 + [[0.0, 1.0]] * 40 + [[1.0, 0.0]] * 278)
    found = evidence(tuple(PRICES), scores, chosen, [Price(1, 1), Price(1, 1)])
    write_claims(artefact, load_artefact(artefact, EMBEDDING).hash, [Claim(found, 5, 1)])
    listed = await targets(testbed, {"large": "1", "small": "1"})
    router = await started(testbed, artefact, listed, guard_margin=margin)
    guard = await verdict(router)
    assert guard["verdict"] == expected
    assert -0.02 < guard["bound"] < 0
    assert guard["missing"] > 1000


async def test_the_guard_can_be_turned_off(testbed: Testbed, artefact: Path) -> None:
    guard = await verdict(await started(testbed, artefact, guard=False))
    assert guard == {"verdict": "off", "events": 0}


async def test_a_damaged_proof_is_refused_and_the_old_artefact_stays(testbed: Testbed, artefact: Path) -> None:
    router = await started(testbed, artefact)
    second = write_artefact(artefact.parent / "second", {"large": 0.9, "small": 0.6})
    (second / "guard.json").write_text('{"format": 1, "artefact": "another"}')

    async def refused() -> bool:
        return bool((await router.client.get("/health")).json()["policy"].get("reason"))

    await until(refused, "the refusal")
    health = (await router.client.get("/health")).json()["policy"]
    assert health["artefact"] == load_artefact(artefact, EMBEDDING).hash
    assert health["reason"].startswith(f"routing.artefacts: {second / 'guard.json'}: `artefact` is 'another', not")
    assert await decided(router) == ("proven", "small")


async def test_a_proof_that_arrives_later_counts(testbed: Testbed, artefact: Path) -> None:
    (artefact / "guard.json").unlink()
    router = await started(testbed, artefact)
    assert (await decided(router))[0] == "unproven"
    claim(artefact)

    async def proven() -> bool:
        return bool((await verdict(router))["verdict"] == "proven")

    await until(proven, "the proof")
    assert await decided(router) == ("proven", "small")


async def test_a_proof_that_arrives_later_counts_for_a_server_with_the_policy(testbed: Testbed, artefact: Path) -> None:
    (artefact / "guard.json").unlink()
    model = await testbed.upstream(whole(decision("call_small")))
    entry = {"id": "the-router", "rl_router": {"decisions": 1, "artefact": load_artefact(artefact, EMBEDDING).hash}}
    model.models_answer = whole({"object": "list", "data": [entry]})
    routing = {"artefacts": str(artefact.parent), "max_turns": 1}
    router = await testbed.start_router(
        router=router_section(model.url), targets=await targets(testbed), routing=routing
    )

    async def sent() -> str:
        await router.answer()
        return situation_from(model.requests[-1].body["rl_router"]).guard

    async def proven() -> bool:
        return await sent() == "proven"

    assert await sent() == "unproven"
    claim(artefact)
    await until(proven, "the proof")


async def test_a_server_that_decides_by_the_proven_artefact_gets_the_verdict(testbed: Testbed, artefact: Path) -> None:
    hashes = [load_artefact(artefact, EMBEDDING).hash, "0" * 64]
    for announced, expected in zip(hashes, ("proven", "unproven"), strict=True):
        model = await testbed.upstream(in_turn(decision("call_small")))
        entry = {"id": "the-router", "rl_router": {"decisions": 1, "artefact": announced}}
        model.models_answer = whole({"object": "list", "data": [entry]})
        router = await testbed.start_router(
            router=router_section(model.url),
            targets=await targets(testbed),
            routing={"artefacts": str(artefact.parent), "max_turns": 1},
        )
        await router.answer()
        assert situation_from(model.requests[0].body["rl_router"]).guard == expected
