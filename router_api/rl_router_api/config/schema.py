"""The configuration's schema: what the YAML file, the environment and the flags may say.

Prices are US dollars per million tokens, durations are seconds. Secrets are named (`api_key_env`, `api_key_file`),
never written. This module imports pydantic alone, so that other programs can embed the schema: every field has an alias
in camelCase, for those whose own fields are written so (`BY_ALIAS`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from .unknown_keys import remedy, unknown_key

BY_ALIAS: dict[str, Any] = {"by_alias": True, "by_name": False, "context": "camelCase"}
"""What `model_validate` is given to read fields by their aliases instead of their names."""

ROUTED_NAMES = ("router-tool-rl", "router")
"""The model names under which a request is routed."""

Capability = Literal["tools", "vision", "audio", "json_schema", "n", "logprobs"]
Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
Protocol = Literal["auto", "tools", "json_schema"]
ToolChoice = Literal["required", "auto"]
CallHistory = Literal["full", "brief"]
LogLevel = Literal["debug", "info", "warning", "error"]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24, decimal_places=12)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=4096)]


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL such as https://api.openai.com/v1")
    if parts.port == 0:  # one that is no number, or too large, is a ValueError already
        raise ValueError("must have a port from 1 to 65535, or none")
    if parts.query or parts.fragment:
        raise ValueError("must have no query or fragment; put parameters under `query`")
    return url.rstrip("/")


BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_check_base_url)]


class Schema(BaseModel):
    """Immutable, and an unknown key is refused with the nearest known one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict):
            by_alias = info.context == BY_ALIAS["context"]
            known = [field.alias or name if by_alias else name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in known:
                    raise unknown_key(key, remedy(str(key), known))
        return data


class Price(Schema):
    """USD per million tokens; `request` is USD per request."""

    input: Dollars = Field(Decimal(0), description="USD per million prompt tokens")
    cached_input: Dollars | None = Field(
        None, description="USD per million prompt tokens that were read from a cache; default: as `input`"
    )
    output: Dollars = Field(Decimal(0), description="USD per million completion tokens")
    request: Dollars = Field(Decimal(0), description="USD per request")


class Secret(Schema):
    """Where a key is to be found: an environment variable or a file, never the key itself."""

    api_key_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="a variable that holds its key"
    )
    api_key_file: str | None = Field(
        None, min_length=1, max_length=4096, description="a file that holds its key; re-read when it changes"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("name the key once: `api_key_env` or `api_key_file`")
        return self


class Deciding(Schema):
    """How the router model is asked for a decision, wherever it is served."""

    protocol: Protocol = Field(
        "auto", description="`tools`: by tool calls; `json_schema`: under a schema; `auto`: tools, then the schema"
    )
    tool_choice: ToolChoice | None = Field(
        None, description="what the engine is asked with `tools`; default: `required`, or `auto` with direct answers"
    )
    temperature: float = Field(0.0, ge=0, le=2, description="for its decisions")
    max_tokens: int = Field(1024, ge=16, le=65_536, description="the most it may write for one decision")
    timeout: Seconds = Field(10.0, description="seconds without a byte; then the fallback order decides")


class Router(Deciding, Secret):
    """The router model: the one that decides."""

    base_url: BaseUrl = Field("http://127.0.0.1:8000/v1", description="where it is served")
    model: Word | None = Field(None, description="its name there; default: the first name it lists")
    context_length: int | None = Field(None, ge=512, description="tokens; default: what it lists of itself, else 8192")
    price: Price = Field(Price(), description="what its decisions cost")


class Routing(Schema):
    """How requests are routed where they do not say otherwise themselves."""

    policy: str = Field(
        "rl", pattern=r"^[a-z][a-z0-9_]*$", max_length=64, description="who decides: `rl` asks the router model"
    )
    prefer: Prefer = Field("balanced", description="told to the router model, and the order of the default fallback")
    max_turns: int = Field(3, ge=1, le=32, description="decisions a request may take")
    max_calls: int = Field(8, ge=1, le=64, description="target calls a request may make, retries included")
    review: Review = Field("buffered", description="which answers the router model sees before one goes out")
    deadline: Seconds = Field(600.0, description="seconds a request may take")
    max_cost: Dollars | None = Field(None, description="USD a request may cost")
    fallback: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="the order when no decision can be had; default: all capable targets, by `prefer`",
    )
    hedge_after: Seconds | None = Field(None, description="seconds without a first byte, then the next target is asked")
    direct_answers: bool | None = Field(
        None, description="let the router model answer by itself; default: only with `protocol: tools`"
    )
    system_prompts: bool = Field(True, description="let the router model add advice to the system prompt")
    aliases: tuple[Name, ...] = Field((), max_length=64, description="further model names that are routed")
    call_history: CallHistory = Field("full", description="`brief` leaves the texts out of `call_history`")


class Params(Schema):
    """What to change in a request for a target that refuses common parameters."""

    rename: dict[Text, Text] = Field(default_factory=dict, max_length=64, description="field names, old to new")
    drop: tuple[Text, ...] = Field((), max_length=64, description="fields to leave out")
    allow: tuple[Text, ...] = Field(
        (), max_length=64, description="further fields that are sent under a `max_cost`, since they cost nothing there"
    )
    set: dict[Text, Any] = Field(default_factory=dict, max_length=64, description="fields to set")


class Answering(Schema):
    """A model that answers, without its key."""

    name: Name = Field(description="what clients and the router model call it")
    base_url: BaseUrl = Field(description="its OpenAI-compatible endpoint, `/v1` included where it has one")
    model: Word | None = Field(None, description="its name at that endpoint; default: `name`")
    price: Price | None = Field(None, description="unknown where left out: cost 0, marked `unpriced`")
    description: str = Field("", max_length=1000, description="what it is good at; the router model reads it")
    capabilities: tuple[Capability, ...] | None = Field(None, max_length=16, description="what it can do; default: all")
    context_length: int | None = Field(None, ge=1, description="tokens; default: unbounded")
    max_output: int | None = Field(
        None,
        ge=1,
        description="tokens it may write; asked for under a `max_cost` if the client sets no limit; default: 32,768",
    )
    max_image_tokens: int = Field(5000, ge=1, description="tokens that a picture costs at most, under a `max_cost`")
    timeout: Seconds = Field(300.0, description="seconds without a byte")
    max_in_flight: int | None = Field(None, ge=1, description="calls at the same time; default: unbounded")
    params: Params = Field(Params(), description="what to change in a request for a model that refuses it")
    headers: dict[Text, Text] = Field(default_factory=dict, max_length=64, description="headers to add to its calls")
    query: dict[Text, Text] = Field(default_factory=dict, max_length=64, description="parameters to add to its calls")

    @property
    def upstream_model(self) -> str:
        """The model name that is sent to `base_url`."""
        return self.model or self.name

    @property
    def tool_name(self) -> str:
        """The function under which the router model calls this target."""
        return tool_name(self.name)


class Target(Answering, Secret):
    """A model that answers."""


class Handling(Schema):
    """How requests are received, wherever the server listens."""

    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="larger requests are refused")
    max_in_flight: int = Field(1024, ge=1, description="requests at the same time; more are refused")
    ping_after: Seconds = Field(15.0, description="seconds without a byte, then a stream gets a comment")
    cors_origins: tuple[Text, ...] = Field((), max_length=64, description="origins of web pages that may ask")
    workers: int = Field(1, ge=1, le=256, description="processes")
    log_level: LogLevel = Field("info", description="the least important lines that are logged")
    log_prompts: bool = Field(False, description="write prompts and answers to the log too")


class Server(Handling):
    """The listening side."""

    host: str = Field("127.0.0.1", min_length=1, max_length=255, description="the address to listen on")
    port: Port = Field(8800, description="the port to listen on")
    admin_port: Port | None = Field(
        None, description="serves all but completions, without a key; default: port + 1, 8801; 0 turns it off"
    )
    api_keys_file: str | None = Field(
        None, min_length=1, max_length=4096, description="who may ask; without it the server is open to everybody"
    )

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _is_not_empty(cls, path: Any) -> Any:
        if path == "":
            raise ValueError("is empty; name the keys file, or write `null` to open the server to everybody")
        return path


_SECTIONS: dict[str, type[Schema]] = {"server": Server, "router": Router, "routing": Routing}


class Configuration(Schema):
    """The whole file. Without `targets`, every model that the router model's server lists is one, at price 0.

    `server` comes first, so that a file that is cut loses other sections before it loses who may ask.
    """

    server: Server = Server()
    router: Router = Router()
    routing: Routing = Routing()
    targets: tuple[Target, ...] | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="before")
    @classmethod
    def _refuse_misplaced_keys(cls, data: Any) -> Any:
        """Names the right place of a key that another section has. The section alone could only name its own keys."""
        for place, part, model in _parts(data):
            for key in part:
                if key not in model.model_fields and (right := _places_of(key)):
                    raise unknown_key(key, f"did you mean {' or '.join(right)}?", place)
        return data

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if self.targets is not None:
            check_names(self.targets, self.routing)
        return self


def _parts(data: Any) -> Iterator[tuple[str, dict[Any, Any], type[Schema]]]:
    """Yields every mapping of a configuration that a section or a target is read from, with its dotted place."""
    if not isinstance(data, dict):
        return
    yield "", data, Configuration
    for section, model in _SECTIONS.items():
        if isinstance(part := data.get(section), dict):
            yield section, part, model
    targets = data.get("targets")
    for index, target in enumerate(targets if isinstance(targets, (list, tuple)) else ()):
        if isinstance(target, dict):
            yield f"targets.{index}", target, Target


def _places_of(key: Any) -> list[str]:
    """Returns the dotted names of the fields with this name, quoted."""
    sections: dict[str, type[Schema]] = {**_SECTIONS, "targets": Target}
    return [f"`{section}.{key}`" for section, model in sections.items() if key in model.model_fields]


@lru_cache(maxsize=1024)
def tool_name(name: str) -> str:
    """`call_` and the target's name, every character but letters, digits and `_` as `_`, 64 characters at most."""
    return ("call_" + re.sub(r"[^A-Za-z0-9_]", "_", name))[:64]


def check_names(targets: Sequence[Answering], routing: Routing) -> None:
    """Raises ValueError where a name is taken twice, is reserved, or names no target."""
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"targets: two targets are called `{name}`; give each a name of its own")
        if name.startswith("router"):
            raise ValueError(f"targets: `{name}`: names that begin with `router` are the router's own; choose another")
        if name in routing.aliases:
            raise ValueError(f"routing.aliases: `{name}` is a target's name; a name is routed or pinned, not both")
    _check_tool_names(targets)
    for name in routing.fallback:
        if name not in names:
            raise ValueError(f"routing.fallback: `{name}` is not a target; targets: {', '.join(names)}")


def _check_tool_names(targets: Sequence[Answering]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        other = seen.setdefault(target.tool_name, target.name)
        if other != target.name:
            raise ValueError(
                f"targets: `{other}` and `{target.name}` would both be called as `{target.tool_name}`; rename one"
            )
