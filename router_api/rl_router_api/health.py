"""How a server says how it is: by the document of `GET /health` while it runs, by its exit code if it cannot start.

This module imports pydantic alone, so that other programs can read both by the same types. Reading is tolerant, because
during a roll-out a server of another version answers: unknown fields are ignored, every field that is added has a
default, and an unknown word for a state is read as the state that promises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _words(known: tuple[str, ...], otherwise: str) -> BeforeValidator:
    """Returns a validator that reads each word that is not known as `otherwise`."""
    return BeforeValidator(lambda word: otherwise if isinstance(word, str) and word not in known else word)


Status = Literal["ok", "degraded"]
ConfigurationState = Literal["ok", "refused", "closed", "unknown"]
UpstreamState = Literal["ok", "bad", "unknown"]
RouterModelState = Literal[UpstreamState, "unused"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ConfigurationHealth(_Part):
    """Whether the configuration on disk is in force.

    `refused`: the server keeps the last good one. `closed`: the server asks clients for keys and knows no keys. No
    server says `unknown` itself. `reason` is a sentence for a person, and `file` the keys file that it is about.
    """

    state: Annotated[ConfigurationState, _words(("ok", "refused", "closed"), "unknown")]
    reason: str | None = None
    file: str | None = None


class _Upstream(_Part):
    """`reason` is a sentence for a person. `file` is the file of the API key, if that file is missing or empty."""

    reason: str | None = None
    file: str | None = None


class UpstreamHealth(_Upstream):
    """How a target is. `unknown`: it has not been asked yet."""

    state: Annotated[UpstreamState, _words(("ok", "bad"), "unknown")]


class RouterModelHealth(_Upstream):
    """How the router model is. `unused`: the configured policy decides without it."""

    state: Annotated[RouterModelState, _words(("ok", "bad", "unused"), "unknown")]


class HealthDocument(_Part):
    """What `GET /health` answers with all details; a client without a key sees `status` alone."""

    status: Annotated[Status, _words(("ok",), "degraded")]
    configuration: ConfigurationHealth
    router_model: RouterModelHealth
    targets: Mapping[str, UpstreamHealth]

    def as_json(self) -> dict[str, Any]:
        """Returns the document as JSON values; fields that are not set are left out."""
        return self.model_dump(mode="json", exclude_none=True)


class ExitCode(IntEnum):
    """Why a server ended before it served, and a clause for a person that says so.

    argparse ends with 2. Nobody else uses the other codes: Python itself ends with 1 or 2, uvicorn with 3, programs
    that follow sysexits.h with 64 to 78, the CPU fallback with 80 to 89, and a shell or a signal with 126 and above.
    """

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        """Makes a code that knows its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.means = means
        return member

    CONFIGURATION = 2, "the command line or the configuration cannot be used"
    KEYS_FILE = 90, "the file of the clients' API keys cannot be used"
    ADDRESS = 91, "the address or the port cannot be listened on"
