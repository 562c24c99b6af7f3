"""The log has one line of JSON for each record."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from msgspec import Raw
from rl_router_api.accounting.log import LOG, log, set_up
from rl_router_process.output import STDERR

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def written(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Lines]:
    """Returns the lines on standard error since the last call."""
    root, settings = logging.getLogger(), (logging.logThreads, logging.logProcesses, logging._srcfile)
    before = root.handlers, root.level, LOG.level
    set_up("info")

    def lines() -> list[dict[str, object]]:
        STDERR.flush()
        return [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]

    yield lines
    logging.logThreads, logging.logProcesses, logging._srcfile = settings
    root.handlers = before[0]
    root.setLevel(before[1])
    LOG.setLevel(before[2])


def test_a_line_has_its_time_its_level_its_message_and_its_fields(written: Lines) -> None:
    log(logging.WARNING, "a target is left out: %s", target="alpha")
    (line,) = written()
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {"level": "warning", "message": "a target is left out: %s", "target": "alpha"}


def test_json_with_line_breaks_is_logged_on_one_line(written: Lines) -> None:
    log(logging.INFO, "request", messages=Raw(b'[\n  {"role": "user",\r\n   "content": "a\\nb"}\n]'), cost=1)
    (line,) = written()
    assert line["messages"] == [{"role": "user", "content": "a\nb"}]


def test_characters_that_control_a_terminal_or_the_direction_of_text_are_escapes(
    capfdbinary: pytest.CaptureFixture[bytes], written: Lines
) -> None:
    text = "a\x1b[31m\x7f\x85\x9b\u202e\u2066\u200f b\u2028c\u00e9"
    log(logging.INFO, text)
    STDERR.flush()
    raw = capfdbinary.readouterr().err
    assert json.loads(raw)["message"] == text
    assert [character for character in raw.decode() if not character.isprintable()] == ["\n"]


def test_records_below_the_level_are_left_out(written: Lines) -> None:
    log(logging.DEBUG, "nothing")
    assert written() == []


def test_a_failure_is_logged_with_its_traceback(written: Lines) -> None:
    try:
        int("odd")
    except ValueError:
        LOG.exception("internal error")
    (line,) = written()
    assert line["message"] == "internal error"
    assert "ValueError" in str(line["exception"])
