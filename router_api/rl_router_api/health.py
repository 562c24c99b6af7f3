"""Defines types for the response to `GET /health`, and the exit codes of a router API that could not start.

Of all installed packages, this module imports only pydantic, so that other programs can use the types. The parser of
the response is tolerant, because servers of several versions answer during a rollout. The parser ignores unknown
fields, and every field that a later version adds must have a default. The parser replaces an unknown state with the
state `unknown`. The parser replaces an unknown value with `degraded` in the field `status`, and with `unproven` in the
field `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _one_of(values: tuple[str, ...], default: str) -> BeforeValidator:
    """Returns a validator that replaces every string that is not in `values` with `default`."""
    return BeforeValidator(lambda value: default if isinstance(value, str) and value not in values else value)


Status = Literal["ok", "degraded"]
ConfigurationState = Literal["ok", "refused", "closed", "unknown"]
UpstreamState = Literal["ok", "bad", "unknown"]
RouterModelState = Literal[UpstreamState, "unused"]
PolicyState = Literal["ok", "bad", "unknown"]
Verdict = Literal["proven", "safe", "unproven", "off"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ConfigurationHealth(_Part):
    """The state of the configuration file and the keys file on disk.

    The state `refused` means that the server rejects the configuration file or the keys file, and keeps the last valid
    configuration and keys. The state `closed` means that clients need API keys, but the server has not loaded any keys.
    Only the parser of the response sets the state `unknown`. Servers never report this state. For the states `refused`
    and `closed`, the field `reason` explains the state in a human-readable sentence. The field `file` is the path of
    the keys file, if the sentence in the field `reason` is about the keys file.
    """

    state: Annotated[ConfigurationState, _one_of(("ok", "refused", "closed"), "unknown")]
    reason: str | None = None
    file: str | None = None


class _Upstream(_Part):
    """The health of an upstream.

    The field `reason` explains the state `bad` in a human-readable sentence. The field `file` is the upstream's
    `api_key_file`, if this file is configured but missing, empty or unreadable.
    """

    reason: str | None = None
    file: str | None = None


class UpstreamHealth(_Upstream):
    """The health of a target.

    The state `unknown` means that no call and no probe has shown yet whether the target works.
    """

    state: Annotated[UpstreamState, _one_of(("ok", "bad"), "unknown")]


class RouterModelHealth(_Upstream):
    """The health of the router model.

    The field `state` is `unused` if the configured policy does not call the router model and no request has called it.
    """

    state: Annotated[RouterModelState, _one_of(("ok", "bad", "unused"), "unknown")]


class GuardVerdict(_Part):
    """Whether the guard lets the policy choose targets.

    The policy may choose targets unless the field `verdict` is `unproven`. The verdict `proven` means that the policy
    is proven to be better than each single target. The verdict `safe` means that the policy is probably better, and
    proven not to be worse by more than `routing.guard_margin`. The verdict is `off` if the guard is turned off. The
    field `revision` is the number of the latest test of the guard. The field `bound` is the smallest of the lower
    bounds of the policy's gains over the single targets. The field `events` is the number of prompts in the evidence.
    The field `missing` is the estimated number of prompts that the verdict `proven` still needs, or None if unknown.
    """

    verdict: Annotated[Verdict, _one_of(("proven", "safe", "off"), "unproven")]
    revision: int | None = None
    bound: float | None = None
    events: int = 0
    missing: int | None = None


class PolicyHealth(_Part):
    """The health of a policy that reads files, such as the policy `learned`.

    The field `artefact` is the hash of the artefact in use. The state `bad` means that the newest artefact cannot be
    used. The field `reason` explains this state in a human-readable sentence.
    """

    name: str
    state: Annotated[PolicyState, _one_of(("ok", "bad"), "unknown")]
    artefact: str | None = None
    guard: GuardVerdict | None = None
    reason: str | None = None


class HealthDocument(_Part):
    """The full response to `GET /health`.

    If API keys are configured, only the admin port returns all fields of the response.
    """

    status: Annotated[Status, _one_of(("ok",), "degraded")]
    configuration: ConfigurationHealth
    router_model: RouterModelHealth
    targets: Mapping[str, UpstreamHealth]
    policy: PolicyHealth | None = None
    """The health of the policy for requests that name no policy, or None if this policy reads no files."""

    def as_json(self) -> dict[str, Any]:
        """Returns the document as JSON values, without the fields that are None."""
        return self.model_dump(mode="json", exclude_none=True)


class ExitCode(IntEnum):
    """The exit code of a router API server that could not start.

    The attribute `means` says in words why the server could not start. The exit code `CONFIGURATION` is 2, because
    argparse exits with 2 if a command line is invalid. All exit codes in this class except `CONFIGURATION` differ
    from the usual exit codes of other programs. Python exits with the code 1 or 2, uvicorn with 3, programs that follow
    sysexits.h with 64 to 78, and the CPU fallback of the router model with 80 to 87. Shells use the exit codes from 126
    upwards, for example for a program that a signal ended.
    """

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        """Returns the enum member with the exit code `code` and the meaning `means`."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.means = means
        return member

    CONFIGURATION = 2, "the command line or the configuration is invalid"
    KEYS_FILE = 90, "the file with the clients' API keys is invalid or cannot be read"
    ADDRESS = 91, "the server cannot listen on the configured address or port"
