"""How `/health` comes to know its upstreams: by their last call, and by a free question while that is not well."""

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
from stages import router_section, target
from upstreams import Answer, Body, Upstream, closed_port, decision, error, html, polite, reset, said, whole

EVERY = 30


def setup_of(fleet: Fleet) -> PolicySetup:
    return PolicySetup(fleet.router, fleet.routing, RouterModel(fleet).ask)


class Watch:
    """A router model and a target called `alpha`, looked at when a test says so; `now` is the time in seconds."""

    def __init__(self, model: Upstream, alpha: Upstream, transport: HttpTransport, **changes: Any) -> None:
        self.model, self.alpha = model, alpha
        self.now = 1_000.0
        self.booked: list[Ledger] = []
        sections = {
            "router": router_section(model.url),
            "targets": [target("alpha", changes.pop("url", alpha.url), **changes)],
        }
        configuration = Configuration.model_validate(sections)
        self.fleet = fleet_of(configuration, configuration.targets or (), transport)
        self._probe = Probe(self.fleet, policies.create("rl", setup_of(self.fleet)), lambda: self.now)

    async def look(self, after: float = 0) -> None:
        self.now += after
        await self._probe.look(self.booked.append)

    @property
    def target(self) -> Body:
        return dict(self._probe.state()["targets"]["alpha"])

    @property
    def router_model(self) -> Body:
        return dict(self._probe.state()["router_model"])


class Watches:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def make(self, model: Answer = polite, **changes: Any) -> Watch:
        transport = HttpTransport()
        self._stack.push_async_callback(transport.close)
        upstreams = [await self._stack.enter_async_context(Upstream(answer)) for answer in (model, None)]
        return Watch(*upstreams, transport, **changes)


@pytest.fixture
async def watches() -> AsyncIterator[Watches]:
    async with AsyncExitStack() as stack:
        yield Watches(stack)


async def test_before_the_first_look_nothing_is_known(watches: Watches) -> None:
    watch = await watches.make()
    assert (watch.target, watch.router_model) == ({"state": "unknown"}, {"state": "unknown"})


@pytest.mark.parametrize("status", [401, 403])
async def test_a_target_that_refuses_its_key_is_bad(watches: Watches, status: int) -> None:
    watch = await watches.make()
    watch.alpha.listing = error(status, "who are you?")
    await watch.look()
    assert watch.target == {"state": "bad", "reason": f"its key is refused ({status})"}


@pytest.mark.parametrize("answer", [error(404, "no such path"), error(429, "later"), html(500), whole(b"no list")])
async def test_a_target_that_answers_anything_else_is_reachable(watches: Watches, answer: Answer) -> None:
    watch = await watches.make()
    watch.alpha.listing = answer
    await watch.look()
    assert watch.target == {"state": "ok"}


async def test_a_target_without_a_connection_is_bad(watches: Watches) -> None:
    watch = await watches.make(url=closed_port())
    await watch.look()
    assert watch.target["state"] == "bad"
    assert "cannot connect" in watch.target["reason"]
    other = await watches.make()
    other.alpha.listing = reset
    await other.look()
    assert other.target["state"] == "bad"


async def test_a_target_is_asked_with_its_key_and_for_nothing_that_costs(
    watches: Watches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas")
    watch = await watches.make(api_key_env="ALPHAS_KEY", headers={"x-team": "seven"}, query={"v": "2"})
    await watch.look()
    (asked,) = watch.alpha.listed
    assert asked.path == "/v1/models?v=2"
    assert (asked.headers["authorization"], asked.headers["x-team"]) == ("Bearer sk-alphas", "seven")
    assert not watch.alpha.requests


async def test_what_is_well_is_not_asked_again(watches: Watches) -> None:
    watch = await watches.make()
    await watch.look()
    assert (watch.target, watch.router_model) == ({"state": "ok"}, {"state": "ok"})
    for _ in range(5):
        await watch.look(after=10 * EVERY)
    assert (len(watch.alpha.listed), len(watch.model.requests)) == (1, 1)


async def test_what_is_bad_is_asked_every_thirty_seconds_until_it_is_well(watches: Watches) -> None:
    watch = await watches.make(model=error(500, "broken"))
    watch.alpha.listing = error(401, "who are you?")
    await watch.look()
    await watch.look(after=EVERY - 1)
    assert (len(watch.alpha.listed), len(watch.model.requests)) == (1, 1)
    await watch.look(after=1)
    assert (len(watch.alpha.listed), len(watch.model.requests)) == (2, 2)
    watch.alpha.listing, watch.model.answer = whole({"data": []}), polite
    await watch.look(after=EVERY)
    assert (watch.target, watch.router_model) == ({"state": "ok"}, {"state": "ok"})


async def test_a_targets_last_call_goes_before_what_was_seen_earlier(watches: Watches) -> None:
    watch = await watches.make()
    await watch.look()
    ((_, upstream),) = watch.fleet.targets
    upstream.failed(upstream.begin(), "`alpha` answered 502", counts=True)
    assert watch.target == {"state": "bad", "reason": "`alpha` answered 502"}
    await watch.look(after=EVERY)
    assert watch.target == {"state": "ok"}


@pytest.mark.parametrize("answer", [error(500, "broken"), reset, html(200), whole(said("")),
                                    whole(decision("call_nobody"))])  # fmt: skip
async def test_a_router_model_whose_decision_is_not_its_own_is_bad(watches: Watches, answer: Answer) -> None:
    watch = await watches.make(model=answer)
    await watch.look()
    assert watch.router_model["state"] == "bad"
    assert watch.router_model["reason"]
    assert not watch.alpha.requests


async def test_a_look_at_the_router_model_is_booked(watches: Watches) -> None:
    watch = await watches.make()
    await watch.look()
    (ledger,) = watch.booked
    assert ledger.router_cost > 0
    assert not ledger.target_calls


async def test_a_new_setup_asks_anew(watches: Watches) -> None:
    """As a reload makes one, though its targets keep their upstreams."""
    watch = await watches.make()
    await watch.look()
    again = Probe(watch.fleet, policies.create("rl", setup_of(watch.fleet)))
    await again.look(watch.booked.append)
    assert (len(watch.alpha.listed), len(watch.model.requests)) == (2, 2)
