"""Every recorder receives each ended request, even if another recorder fails."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.metrics import Metrics
from rl_router_api.accounting.recorders import EndedRequest, record_all

from fakes.testbed.requests import QUESTION
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text
from fakes.upstreams.bodies import usage
from fakes.upstreams.exchange import Body
from fakes.upstreams.faults import error

FIELDS = ["time", "level", "message", "status", "model_used", "routing_strategy", "turns_used", "total_cost",
          "router_cost", "target_models_cost", "total_time", "call_history", "router_calls", "request_id"]  # fmt: skip


class Memory:
    """A recorder that keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[EndedRequest] = []

    def record(self, request: EndedRequest) -> None:
        self.requests.append(request)


class Failing:
    """A recorder that always fails."""

    def record(self, request: EndedRequest) -> None:
        raise OSError("the disk is full")


class FailingMetrics(Metrics):
    """Metrics that cannot count a request."""

    record = Failing.record


def failures(log: list[Body]) -> list[Body]:
    return [line for line in log if line["message"] == "a recorder failed"]


def test_every_recorder_receives_the_same_request() -> None:
    request = EndedRequest(Ledger("req-1"), 200, key="somebody")
    first, second = Memory(), Memory()
    record_all([first, second], request)
    assert first.requests == second.requests == [request]


def test_a_recorder_that_fails_is_logged_and_does_not_stop_the_others(log: list[Body]) -> None:
    request = EndedRequest(Ledger("req-1"), 200)
    first, last = Memory(), Memory()
    record_all([first, Failing(), last], request)
    assert first.requests == last.requests == [request]
    (line,) = failures(log)
    assert (line["level"], line["recorder"], line["request_id"]) == ("error", "Failing", "req-1")
    assert "the disk is full" in line["exception"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_gets_its_answer_even_if_a_recorder_fails(testbed: Testbed, stream: bool) -> None:
    setup = await testbed.start(None, text("from alpha"))
    setup.router.app.runtime.metrics = FailingMetrics()
    response = await setup.send(model="alpha", stream=stream)
    assert response.status_code == 200
    assert "from alpha" in response.text
    await until(lambda: setup.router.ledgers, "the log line")
    assert len(failures(setup.router.log)) == 1


async def test_the_log_lines_add_up_to_the_metrics(testbed: Testbed) -> None:
    setup = await testbed.start(None, text(used=usage(11, 7)), error(500, "broken"), routing={"fallback": ["beta"]})
    await setup.answer()
    await setup.stream()
    await setup.send(model="beta")
    await until(lambda: len(setup.router.ledgers) == 3, "the log lines")
    page = (await setup.client.get("/metrics")).text

    def counted(name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(f"rl_router_{name}"))

    lines = setup.router.ledgers
    calls = [call for line in lines for call in (*line["router_calls"], *line["call_history"])]
    assert counted("requests_total") == counted("request_seconds_count") == len(lines) == 3
    assert counted("calls_total") == counted("call_seconds_count") == len(calls)
    assert counted("tokens_total") == sum(call["tokens_used"] for call in calls)
    total = sum((line["total_cost"] for line in lines), Decimal(0))
    assert total > 0
    assert counted("cost_usd_total") == pytest.approx(float(total), rel=1e-9)


async def test_a_log_line_is_the_ledger_and_the_status(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("from alpha"))
    await setup.answer()
    (line,) = setup.router.ledgers
    assert list(line) == FIELDS
    assert (line["status"], line["model_used"]) == (200, "alpha")
    assert "from alpha" not in str(line)


async def test_a_log_line_has_the_texts_if_prompts_are_logged(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("from alpha"), server={"log_prompts": True})
    await setup.answer()
    (line,) = setup.router.ledgers
    assert list(line) == [*FIELDS, "messages"]
    assert line["messages"] == QUESTION
    assert line["call_history"][0]["response"] == "from alpha"


async def test_a_request_that_cannot_be_read_has_no_texts_in_the_log(testbed: Testbed) -> None:
    setup = await testbed.start(None, text("from alpha"), server={"log_prompts": True})
    response = await setup.client.post("/v1/chat/completions", json={"model": "alpha"})
    assert response.status_code == 400
    (line,) = setup.router.ledgers
    assert list(line) == FIELDS
