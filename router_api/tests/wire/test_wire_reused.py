"""Calls over pooled connections that the upstream ends: which request is sent again, and what the ledger records."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fakes.testbed.responses import history
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import in_turn, text
from fakes.upstreams.exchange import Answer, Exchange
from fakes.upstreams.faults import reset


async def close(exchange: Exchange) -> None:
    """Ends the connection without a byte."""
    exchange.writer.close()


async def begin(exchange: Exchange) -> None:
    """Ends the connection after the first bytes of a response."""
    await exchange.send(b"HTTP/1.1 2")
    exchange.writer.close()


ENDS: dict[str, Answer] = {"an end": close, "a reset": reset}
PINNED = {"model": "alpha"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_reused_connection_that_ends_at_once_costs_nothing(testbed: Testbed, end: Answer, stream: bool) -> None:
    setup = await testbed.start(None, in_turn(text(), end, text()))
    for _ in range(2):
        assert (await setup.send(**PINNED, stream=stream)).status_code == 200
    assert len(setup.alpha.requests) == 3
    assert [history(ledger) for ledger in setup.router.ledgers] == [[("alpha", "ok")]] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_reused_connection_that_ends_later_is_an_estimated_entry(
    testbed: Testbed, end: Answer, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_router_api.upstreams.transport._MAX_RESEND", -1.0)
    setup = await testbed.start(None, in_turn(text(), end, text()))
    for _ in range(2):
        assert (await setup.send(**PINNED, stream=stream)).status_code == 200
    ledger = setup.router.ledgers[-1]
    assert history(ledger) == [("alpha", "error"), ("alpha", "ok")]
    failed, answered = ledger["call_history"]
    assert failed["estimated"] is True
    assert Decimal(failed["cost"]) > 0
    assert "estimated" not in answered


async def test_a_begun_response_on_a_reused_connection_is_not_sent_again_without_an_entry(testbed: Testbed) -> None:
    setup = await testbed.start(None, in_turn(text(), begin, text()))
    await setup.send(**PINNED)
    await setup.send(**PINNED)
    assert history(setup.router.ledgers[-1])[0] == ("alpha", "error")
