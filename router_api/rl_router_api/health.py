"""Types for the response of `GET /health`, and the exit codes of a server that could not start.

Of all installed packages, this module imports only pydantic, so that other programs can use the types. Parsing is
tolerant, because servers of several versions answer during a rollout. Unknown fields are ignored, and new fields always
have a default. An unknown value becomes `unknown`, except in the field `status`, in which an unknown value becomes
`degraded`.
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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ConfigurationHealth(_Part):
    """The state of the configuration on disk.

    The state `refused` means that the file is invalid and the server keeps the last valid configuration. The state
    `closed` means that clients need API keys, but the server has not loaded any keys. Servers never report the state
    `unknown`. The field `reason` is a human-readable sentence. The field `file` is the path of the keys file, if the
    sentence in `reason` is about the keys file.
    """

    state: Annotated[ConfigurationState, _one_of(("ok", "refused", "closed"), "unknown")]
    reason: str | None = None
    file: str | None = None


class _Upstream(_Part):
    """The state of an upstream. The field `reason` is a human-readable sentence.

    The field `file` is the path of the file of the API key, if this file is missing or empty.
    """

    reason: str | None = None
    file: str | None = None


class UpstreamHealth(_Upstream):
    """The state of a target. The state `unknown` means that the target has not been called yet."""

    state: Annotated[UpstreamState, _one_of(("ok", "bad"), "unknown")]


class RouterModelHealth(_Upstream):
    """The state of the router model, which is `unused` if the configured policy does not call the router model."""

    state: Annotated[RouterModelState, _one_of(("ok", "bad", "unused"), "unknown")]


class HealthDocument(_Part):
    """The full response to `GET /health`. If API keys are configured, only the admin port sends all fields."""

    status: Annotated[Status, _one_of(("ok",), "degraded")]
    configuration: ConfigurationHealth
    router_model: RouterModelHealth
    targets: Mapping[str, UpstreamHealth]

    def as_json(self) -> dict[str, Any]:
        """Returns the document as JSON values, without the fields that are None."""
        return self.model_dump(mode="json", exclude_none=True)


class ExitCode(IntEnum):
    """The exit code of a server that could not start. The attribute `means` is the reason as human-readable text.

    `CONFIGURATION` is 2, because argparse exits with 2. All exit codes except `CONFIGURATION` differ from the exit
    codes of other programs. Python exits with 1 or 2, uvicorn with 3, programs that follow sysexits.h with 64 to 78,
    and the CPU fallback with 80 to 89. Shells use the exit codes from 126, for example after a signal.
    """

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        """Returns the exit code `code`, with its meaning `means`."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.means = means
        return member

    CONFIGURATION = 2, "the command line or the configuration is invalid"
    KEYS_FILE = 90, "the file with the clients' API keys is invalid"
    ADDRESS = 91, "the server cannot listen on the configured address or port"
