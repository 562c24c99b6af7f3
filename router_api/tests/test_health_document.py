"""The document of `/health`, also between versions, and the exit codes of a server that cannot start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rl_router_api.errors import SetupError
from rl_router_api.health import ExitCode, HealthDocument
from rl_router_api.server.start_errors import EXIT_CODES

from fakes.testbed.router import Testbed

GUIDE = (Path(__file__).resolve().parents[2] / "docs/troubleshooting.md").read_text()
HEALTHY: dict[str, Any] = {
    "status": "ok",
    "configuration": {"state": "ok"},
    "router_model": {"state": "ok"},
    "targets": {"alpha": {"state": "ok"}, "beta": {"state": "ok"}},
}


async def test_a_healthy_server_reports_only_states(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    assert (await setup.client.get("/health")).json() == HEALTHY


async def test_the_file_of_a_missing_key_is_a_separate_field(testbed: Testbed, tmp_path: Path) -> None:
    file = str(tmp_path / "key")
    setup = await testbed.start(None, None, None, changes={"beta": {"api_key_file": file}})
    assert (await setup.client.get("/health")).json()["targets"]["beta"] == {
        "state": "bad",
        "reason": f"{file} is missing, empty or unreadable",
        "file": file,
    }


async def test_the_document_of_a_server_can_be_read(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    body = (await setup.client.get("/health")).content
    assert HealthDocument.model_validate_json(body) == setup.router.app.runtime.health()


def test_a_document_of_the_previous_version_can_be_read() -> None:
    """The previous version has no `file`."""
    document = HealthDocument.model_validate({**HEALTHY, "router_model": {"state": "bad", "reason": "no answer"}})
    assert (document.router_model.state, document.router_model.file) == ("bad", None)


def test_unknown_states_and_fields_of_a_later_version_are_tolerated() -> None:
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
    "answer", [{}, {"status": "ok"}, {**HEALTHY, "targets": []}, {**HEALTHY, "router_model": {"state": 7}}]
)
def test_other_documents_are_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HealthDocument.model_validate(answer)


def kinds(error: type[SetupError]) -> Iterator[type[SetupError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_startup_error_has_an_exit_code() -> None:
    assert {EXIT_CODES[kind] for kind in kinds(SetupError)} == set(ExitCode)


@pytest.mark.parametrize("code", ExitCode)
def test_the_guide_explains_every_exit_code(code: ExitCode) -> None:
    assert f"| {code:d} | {code.means} |" in GUIDE
