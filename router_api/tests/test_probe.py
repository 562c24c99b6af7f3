"""The states in `/health`: from the last call, or from a free probe if there was no call or it failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from rl_router_api import policies
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Configuration
from rl_router_api.routing.ask import RouterModel
from rl_router_api.routing.decide import PolicySetup
from rl_router_api.runtime.probe import Probe
from rl_router_api.upstreams.fleet import Fleet, fleet_of
from rl_router_api.upstreams.transport import HttpTransport

from fakes.ports import closed_url
from fakes.testbed.configuration import router_section, target
from fakes.upstreams.answers import well_behaved, whole
from fakes.upstreams.bodies import decision, reply
from fakes.upstreams.exchange import Answer, Body
from fakes.upstreams.faults import error, html, reset
from fakes.upstreams.server import Upstream

INTERVAL = 30


def setup_of(fleet: Fleet) -> PolicySetup:
    return PolicySetup(fleet.router, fleet.routing, RouterModel(fleet).ask)


class Probed:
    """A router model and a target `alpha` that `run` probes. `now` is the simulated time in seconds."""

    def __init__(self, model: Upstream, alpha: Upstream, transport: HttpTransport, **changes: Any) -> None:
        self.model, self.alpha = model, alpha
        self.now = 1_000.0
        self.recorded: list[Ledger] = []
        sections = {
            "router": router_section(model.url),
            "targets": [target("alpha", changes.pop("url", alpha.url), **changes)],
        }
        configuration = Configuration.model_validate(sections)
        self.fleet = fleet_of(configuration, configuration.targets or (), transport)
        self._probe = Probe(self.fleet, policies.create("rl", setup_of(self.fleet)), now=lambda: self.now)

    async def run(self, after: float = 0) -> None:
        self.now += after
        await self._probe.run(self.recorded.append)

    @property
    def target(self) -> Body:
        return self._probe.targets["alpha"].model_dump(exclude_none=True)

    @property
    def router_model(self) -> Body:
        return self._probe.router_model.model_dump(exclude_none=True)


class Probes:
    """Starts upstreams to probe."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def make(self, model: Answer = well_behaved, **changes: Any) -> Probed:
        transport = HttpTransport()
        self._stack.push_async_callback(transport.close)
        upstreams = [await self._stack.enter_async_context(Upstream(answer)) for answer in (model, None)]
        return Probed(*upstreams, transport, **changes)


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    async with AsyncExitStack() as stack:
        yield Probes(stack)


async def test_before_the_first_probe_every_state_is_unknown(probes: Probes) -> None:
    probed = await probes.make()
    assert (probed.target, probed.router_model) == ({"state": "unknown"}, {"state": "unknown"})


@pytest.mark.parametrize("status", [401, 403])
async def test_a_target_that_rejects_its_key_is_bad(probes: Probes, status: int) -> None:
    probed = await probes.make()
    probed.alpha.models_answer = error(status, "who are you?")
    await probed.run()
    assert probed.target == {"state": "bad", "reason": f"authentication at the target failed (HTTP status {status})"}


@pytest.mark.parametrize("answer", [error(404, "no such path"), error(429, "later"), html(500), whole(b"no list")])
async def test_a_target_with_any_other_answer_is_ok(probes: Probes, answer: Answer) -> None:
    probed = await probes.make()
    probed.alpha.models_answer = answer
    await probed.run()
    assert probed.target == {"state": "ok"}


async def test_a_target_that_cannot_be_reached_is_bad(probes: Probes) -> None:
    probed = await probes.make(url=closed_url())
    await probed.run()
    assert probed.target["state"] == "bad"
    assert "cannot connect" in probed.target["reason"]
    other = await probes.make()
    other.alpha.models_answer = reset
    await other.run()
    assert other.target["state"] == "bad"


async def test_a_target_is_probed_with_its_key_and_a_free_request(
    probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas")
    probed = await probes.make(api_key_env="ALPHAS_KEY", headers={"x-team": "seven"}, query={"v": "2"})
    await probed.run()
    (request,) = probed.alpha.models_requests
    assert request.path == "/v1/models?v=2"
    assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer sk-alphas", "seven")
    assert not probed.alpha.requests


async def test_an_upstream_whose_probe_succeeded_is_not_probed_again(probes: Probes) -> None:
    probed = await probes.make()
    await probed.run()
    assert (probed.target, probed.router_model) == ({"state": "ok"}, {"state": "ok"})
    for _ in range(5):
        await probed.run(after=10 * INTERVAL)
    assert (len(probed.alpha.models_requests), len(probed.model.requests)) == (1, 1)


async def test_a_bad_upstream_is_probed_every_thirty_seconds_until_it_is_ok(probes: Probes) -> None:
    probed = await probes.make(model=error(500, "broken"))
    probed.alpha.models_answer = error(401, "who are you?")
    await probed.run()
    await probed.run(after=INTERVAL - 1)
    assert (len(probed.alpha.models_requests), len(probed.model.requests)) == (1, 1)
    await probed.run(after=1)
    assert (len(probed.alpha.models_requests), len(probed.model.requests)) == (2, 2)
    probed.alpha.models_answer, probed.model.answer = whole({"data": []}), well_behaved
    await probed.run(after=INTERVAL)
    assert (probed.target, probed.router_model) == ({"state": "ok"}, {"state": "ok"})


async def test_the_result_of_a_call_replaces_the_result_of_an_earlier_probe(probes: Probes) -> None:
    probed = await probes.make()
    await probed.run()
    ((_, upstream),) = probed.fleet.targets
    upstream.failed(upstream.begin(), "`alpha` answered 502", counts=True)
    assert probed.target == {"state": "bad", "reason": "`alpha` answered 502"}
    await probed.run(after=INTERVAL)
    assert probed.target == {"state": "ok"}


@pytest.mark.parametrize("answer", [error(500, "broken"), reset, html(200), whole(reply("")),
                                    whole(decision("call_nobody"))])  # fmt: skip
async def test_a_router_model_without_a_valid_decision_is_bad(probes: Probes, answer: Answer) -> None:
    probed = await probes.make(model=answer)
    await probed.run()
    assert probed.router_model["state"] == "bad"
    assert probed.router_model["reason"]
    assert not probed.alpha.requests


async def test_a_probe_of_the_router_model_is_recorded(probes: Probes) -> None:
    probed = await probes.make()
    await probed.run()
    (ledger,) = probed.recorded
    assert ledger.router_cost > 0
    assert not ledger.target_calls


async def test_a_new_setup_probes_its_upstreams_again(probes: Probes) -> None:
    """A reload makes a new setup, whose unchanged targets keep their upstreams."""
    probed = await probes.make()
    await probed.run()
    again = Probe(probed.fleet, policies.create("rl", setup_of(probed.fleet)))
    await again.run(probed.recorded.append)
    assert (len(probed.alpha.models_requests), len(probed.model.requests)) == (2, 2)
