"""`answer(request, limits)` is the whole of routing: with a recorded transport it runs without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from rl_router_api import policies
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Configuration
from rl_router_api.conversation.answer import text_of
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.errors import ApiError, TransportError
from rl_router_api.routing.answer import Answerer
from rl_router_api.routing.ask import RouterModel
from rl_router_api.routing.decide import PolicySetup
from rl_router_api.routing.limits import limits_of
from rl_router_api.routing.outcome import Outcome
from rl_router_api.upstreams.fleet import fleet_of

from fakes.upstreams.bodies import call, completion, decision, encoded, select

PRICE = {"input": "1", "output": "10"}
CONFIGURATION = Configuration.model_validate(
    {
        "router": {"base_url": "http://router/v1", "model": "the-router", "context_length": 8192, "price": PRICE},
        "targets": [
            {"name": name, "base_url": f"http://{name}/v1", "price": PRICE} for name in ("alpha", "beta")
        ],
    }
)  # fmt: skip
Recording = list[tuple[str, int, Any]]


class Recorded:
    """The bytes of a recorded response."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._parts: Iterator[bytes] = iter([body])

    async def read(self) -> bytes:
        return next(self._parts, b"")

    def close(self) -> None: ...


class Recordings:
    """A transport that replays: each request must be the next one of the recording, by its address."""

    def __init__(self, recording: Recording) -> None:
        self._left = list(recording)
        self.sent: list[dict[str, Any]] = []

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, _: float) -> Recorded:
        host, status, answer = self._left.pop(0)
        assert url == f"http://{host}/v1/chat/completions"
        self.sent.append(json.loads(body or b"{}"))
        if status == 0:
            raise TransportError("refused", "cannot connect")
        return Recorded(status, encoded(answer))

    async def close(self) -> None: ...

    @property
    def finished(self) -> bool:
        return not self._left


def asked(**fields: Any) -> Request:
    body = {"model": "router", "messages": [{"role": "user", "content": "What is 2 + 2?"}], **fields}
    return read_request(json.dumps(body).encode())


async def replayed(recording: Recording, request: Request) -> tuple[Outcome, Ledger]:
    transport = Recordings(recording)
    fleet = fleet_of(CONFIGURATION, CONFIGURATION.targets or (), transport)
    policy = policies.create("rl", PolicySetup(fleet.router, fleet.routing, RouterModel(fleet).ask))
    limits = limits_of(request, fleet, Ledger("req_1"))
    outcome = await Answerer(fleet, lambda _: policy).answer(request, limits)
    limits.ledger.close()
    assert transport.finished
    return outcome, limits.ledger


TWO_TURNS: Recording = [
    ("router", 200, decision(call("call_alpha"), call("call_beta"))),
    ("alpha", 200, completion("5")),
    ("beta", 200, completion("4")),
    ("router", 200, select("call_2")),
]


async def test_a_recorded_request_is_replayed_without_a_socket() -> None:
    outcome, ledger = await replayed(TWO_TURNS, asked())
    assert outcome.target == "beta"
    assert outcome.answer is not None
    assert text_of(outcome.answer.first) == "4"
    assert (ledger.strategy, ledger.turns) == ("select_response", 2)
    assert (ledger.router_cost, ledger.target_cost) == (Decimal("0.0006"), Decimal("0.00012"))


async def test_what_a_replay_costs_is_the_same_every_time() -> None:
    costs = {
        ledger.metadata("none")["total_cost"] for _ in range(3) for _, ledger in [await replayed(TWO_TURNS, asked())]
    }
    assert costs == {Decimal("0.00072")}


async def test_a_recorded_failure_is_followed_by_the_fallback() -> None:
    recording: Recording = [
        ("router", 200, decision(call("call_alpha"))),
        ("alpha", 500, {"error": {"message": "down"}}),
        ("router", 0, None),
        ("beta", 200, completion("4")),
    ]
    outcome, ledger = await replayed(recording, asked())
    assert (outcome.target, ledger.strategy) == ("beta", "fallback")
    assert [entry.status for entry in ledger.target_calls] == ["error", "ok"]


async def test_the_limits_of_a_request_hold_in_a_replay() -> None:
    with pytest.raises(ApiError) as caught:
        await replayed([], asked(router={"max_cost": 0}))
    assert caught.value.code == "max_cost_too_low"
