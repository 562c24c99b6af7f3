"""Builds the health reports that the operator gets from API pods."""

from __future__ import annotations

from typing import Any

from rl_router_api.health import ConfigurationHealth, HealthDocument, RouterModelHealth, UpstreamHealth
from rl_router_operator.objects.observed import Health


def healthy(**targets: str | None) -> Health:
    """Returns the health report of an API pod whose router model works.

    The parameter `targets` maps the name of each target to the reason for a bad state, or to None for a good state.
    """
    return health(targets=targets or {"cheap": None, "strong": None})


def health(
    router_model: str | None = None,
    refused: str | None = None,
    targets: dict[str, str | None] | None = None,
    closed: str | None = None,
    file: str | None = None,
) -> Health:
    """Returns the health report of an API pod.

    The parameters `router_model`, `refused` and `closed`, and the values of `targets`, are reasons for bad states, or
    None for good states. The configuration in the report has the state `refused` if `refused` is set, and the state
    `closed` if only `closed` is set. The parameter `file` is the path of the file that causes the bad states.
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
    """Returns a copy of the health report `original`.

    The arguments `parts` replace the fields with the same names at the top level of the copied report.
    """
    assert original.document
    return Health(HealthDocument.model_validate(original.document.as_json() | parts))


def _state(reason: str | None, file: str | None) -> UpstreamHealth:
    return UpstreamHealth(state="bad", reason=reason, file=file) if reason else UpstreamHealth(state="ok")
