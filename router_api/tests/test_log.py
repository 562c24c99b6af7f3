"""The log has a line of JSON for each record, whatever is in it."""

import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
from msgspec import Raw
from rl_router_api.accounting.log import LOG, log, set_up

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def written(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Lines]:
    """What standard error gets of a process whose log is set up."""
    root, settings = logging.getLogger(), (logging.logThreads, logging.logProcesses, logging._srcfile)
    before = root.handlers, root.level, LOG.level
    set_up("info")
    yield lambda: [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    logging.logThreads, logging.logProcesses, logging._srcfile = settings
    root.handlers = before[0]
    root.setLevel(before[1])
    LOG.setLevel(before[2])


def test_a_line_has_its_time_its_level_its_message_and_its_fields(written: Lines) -> None:
    log(logging.WARNING, "a target is left out: %s", target="alpha")
    (line,) = written()
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {"level": "warning", "message": "a target is left out: %s", "target": "alpha"}


def test_json_that_somebody_wrote_on_several_lines_is_logged_on_one(written: Lines) -> None:
    log(logging.INFO, "request", messages=Raw(b'[\n  {"role": "user",\r\n   "content": "a\\nb"}\n]'), cost=1)
    (line,) = written()
    assert line["messages"] == [{"role": "user", "content": "a\nb"}]


def test_what_is_less_important_than_the_level_is_left_out(written: Lines) -> None:
    log(logging.DEBUG, "nothing")
    assert written() == []


def test_a_failure_is_logged_with_where_it_happened(written: Lines) -> None:
    try:
        int("odd")
    except ValueError:
        LOG.exception("internal error")
    (line,) = written()
    assert line["message"] == "internal error"
    assert "ValueError" in str(line["exception"])


def test_a_log_that_nobody_takes_is_no_failure_of_what_is_logged(
    monkeypatch: pytest.MonkeyPatch, written: Lines
) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", full)
        set_up("info")
        log(logging.INFO, "request")
