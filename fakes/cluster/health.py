"""Health documents in the form in which the API pods report them to the operator."""

from __future__ import annotations

from typing import Any

from rl_router_api.health import ConfigurationHealth, HealthDocument, RouterModelHealth, UpstreamHealth
from rl_router_operator.objects.observed import Health


def healthy(**targets: str | None) -> Health:
    """Returns the report of an API pod whose router model works.

    `targets` maps each target to the reason of its bad state, or to None for a good state.
    """
    return health(targets=targets or {"cheap": None, "strong": None})


def health(
    router_model: str | None = None,
    refused: str | None = None,
    targets: dict[str, str | None] | None = None,
    closed: str | None = None,
    file: str | None = None,
) -> Health:
    """Returns the report of an API pod. Each argument is the reason of a bad state, or None for a good state.

    If `refused` or `closed` is set, the configuration has the state of the same name. `file` is the path of the file
    that causes the bad states.
    """
    configuration = ConfigurationHealth(state="ok")
    if reason := refused or closed:
        configuration = ConfigurationHealth(state="refused" if refused else "closed", reason=reason, file=file)
    states = targets or {"cheap": None, "strong": None}
    document = HealthDocument(
        status="ok",
        configuration=configuration,
        router_model=RouterModelHealth.model_validate(dict(_state(router_model, file))),
        targets={name: _state(reason, file) for name, reason in states.items()},
    )
    return Health(document)


def altered(original: Health, **parts: Any) -> Health:
    """Returns a copy of a report in which `parts` replace top-level fields of the document's JSON."""
    assert original.document
    return Health(HealthDocument.model_validate(original.document.as_json() | parts))


def _state(reason: str | None, file: str | None) -> UpstreamHealth:
    return UpstreamHealth(state="bad", reason=reason, file=file) if reason else UpstreamHealth(state="ok")
