"""The document of `/health`, between versions too, and the exit codes of a server that cannot start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rl_router_api.errors import SetupError
from rl_router_api.health import ExitCode, HealthDocument
from rl_router_api.server.start_errors import EXIT_CODES
from stages import Stage

GUIDE = (Path(__file__).resolve().parents[2] / "docs/troubleshooting.md").read_text()
WELL: dict[str, Any] = {
    "status": "ok",
    "configuration": {"state": "ok"},
    "router_model": {"state": "ok"},
    "targets": {"alpha": {"state": "ok"}, "beta": {"state": "ok"}},
}


async def test_a_server_that_is_well_says_no_more_than_that(stage: Stage) -> None:
    cast = await stage.routed(None, None, None)
    assert (await cast.client.get("/health")).json() == WELL


async def test_the_file_of_a_missing_key_is_a_field_of_its_own(stage: Stage, tmp_path: Path) -> None:
    file = str(tmp_path / "key")
    cast = await stage.routed(None, None, None, changes={"beta": {"api_key_file": file}})
    assert (await cast.client.get("/health")).json()["targets"]["beta"] == {
        "state": "bad",
        "reason": f"{file} is missing or empty",
        "file": file,
    }


async def test_what_a_server_writes_is_read_as_it_was_meant(stage: Stage) -> None:
    cast = await stage.routed(None, None, None)
    body = (await cast.client.get("/health")).content
    assert HealthDocument.model_validate_json(body) == cast.served.app.runtime.health()


def test_a_document_of_the_version_before_is_read() -> None:
    """It has no `file`."""
    document = HealthDocument.model_validate({**WELL, "router_model": {"state": "bad", "reason": "no answer"}})
    assert (document.router_model.state, document.router_model.file) == ("bad", None)


def test_a_document_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = {
        "status": "asleep",
        "configuration": {"state": "migrating", "since": 7},
        "router_model": {"state": "asleep", "until": "noon"},
        "targets": {"alpha": {"state": "ok", "region": "eu"}},
        "store": {"state": "ok"},
    }
    document = HealthDocument.model_validate(later)
    assert (document.status, document.configuration.state) == ("degraded", "unknown")
    assert (document.router_model.state, document.targets["alpha"].state) == ("unknown", "ok")


@pytest.mark.parametrize(
    "answer", [{}, {"status": "ok"}, {**WELL, "targets": []}, {**WELL, "router_model": {"state": 7}}]
)
def test_what_no_router_says_is_not_read(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HealthDocument.model_validate(answer)


def kinds(error: type[SetupError]) -> Iterator[type[SetupError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_of_a_start_has_an_exit_code() -> None:
    assert {EXIT_CODES[kind] for kind in kinds(SetupError)} == set(ExitCode)


@pytest.mark.parametrize("code", ExitCode)
def test_the_guide_explains_every_exit_code(code: ExitCode) -> None:
    assert f"| {code:d} | {code.means} |" in GUIDE
