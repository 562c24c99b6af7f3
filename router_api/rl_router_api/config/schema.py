"""The configuration's schema: what the YAML file, the environment and the flags may say.

Prices are US dollars per million tokens, durations are seconds. Secrets are named (`api_key_env`, `api_key_file`),
never written. This module imports nothing but pydantic, so that other programs can embed the schema. Every field has an
alias in camelCase for programs that write their own fields so (`BY_ALIAS`).

The descriptions are read in four places: in docs/configuration.md, in `--help`, in the CRD and in its reference. A
description ends with "; default: …" if the default needs words.
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
"""The arguments of `model_validate` that read fields by their aliases instead of their names."""

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
    if parts.port == 0:  # urlsplit raises ValueError for any other port that is not valid
        raise ValueError("must have a port from 1 to 65535, or none")
    if parts.query or parts.fragment:
        raise ValueError("must have no query or fragment; put parameters under `query`")
    return url.rstrip("/")


BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_check_base_url)]


class Schema(BaseModel):
    """An immutable model that refuses an unknown key and names the nearest known one."""

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
        None, description="USD per million prompt tokens read from a prompt cache; default: as `input`"
    )
    output: Dollars = Field(Decimal(0), description="USD per million completion tokens, reasoning included")
    request: Dollars = Field(Decimal(0), description="USD per request")


class Secret(Schema):
    """The place of an API key: an environment variable or a file, never the key itself."""

    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=128,
        description="environment variable that holds the API key",
    )
    api_key_file: str | None = Field(
        None, min_length=1, max_length=4096, description="file that holds the API key. It is read again when it changes"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("name the key once: `api_key_env` or `api_key_file`")
        return self


class DecisionConfig(Schema):
    """How the router model is asked for a decision."""

    protocol: Protocol = Field(
        "auto",
        description="how decisions are asked for. `tools`: by tool calls, for models trained to route. `json_schema`:"
        " under a JSON schema, for any other model. `auto`: `tools`, and `json_schema` if tool calls are unreadable",
    )
    tool_choice: ToolChoice | None = Field(
        None,
        description="`tool_choice` under the `tools` protocol. `auto` suits a model that was trained to think first;"
        " default: `required`, or `auto` with direct answers",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature of the router model")
    max_tokens: int = Field(1024, ge=16, le=65_536, description="maximum number of tokens of one decision")
    timeout: Seconds = Field(
        10.0, description="seconds without data before the router model is given up and the fallback order is used"
    )


class RouterModelConfig(DecisionConfig, Secret):
    """The router model, which decides."""

    base_url: BaseUrl = Field("http://127.0.0.1:8000/v1", description="OpenAI-compatible endpoint of the router model")
    model: Word | None = Field(
        None, description="name of the model at its endpoint; default: the first name that the endpoint lists"
    )
    context_length: int | None = Field(
        None,
        ge=512,
        description="context length in tokens. Longer conversations are shortened; default: what the endpoint lists,"
        " else 8192",
    )
    price: Price = Field(Price(), description="price of its decisions, booked as `router_cost`; default: 0")


class Routing(Schema):
    """How requests are routed, unless a request says otherwise."""

    policy: str = Field(
        "rl",
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="name of the policy that decides. `rl` asks the router model, `fixed` takes the first target of the"
        " fallback order",
    )
    prefer: Prefer = Field(
        "balanced", description="what the router model is to aim at. It also orders the default fallback"
    )
    max_turns: int = Field(3, ge=1, le=32, description="maximum number of decisions for a request")
    max_calls: int = Field(
        8, ge=1, le=64, description="maximum number of target calls for a request: retries, hedges and fallbacks too"
    )
    review: Review = Field(
        "buffered",
        description="which answers the router model sees before one is returned. `buffered`: all, but in a stream a"
        " single call is streamed through. `never`: none, so the first call's answer is returned. `always`:"
        " all, in a stream too",
    )
    deadline: Seconds = Field(
        600.0, description="maximum seconds for a request. A completed answer is then returned, if there is one"
    )
    max_cost: Dollars | None = Field(
        None, description="maximum USD for a request, checked before each call by its worst case; default: no limit"
    )
    fallback: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="order of targets if there is no decision; default: all capable targets, by `prefer`",
    )
    hedge_after: Seconds | None = Field(
        None, description="seconds without a first byte before the next target is asked as well; default: never"
    )
    direct_answers: bool | None = Field(
        None, description="whether the router model may answer by itself; default: only with `protocol: tools`"
    )
    system_prompts: bool = Field(True, description="whether the router model may add advice to the prompt of a target")
    aliases: tuple[Name, ...] = Field(
        (), max_length=64, description="additional model names that are routed, for programs with a fixed one"
    )
    call_history: CallHistory = Field("full", description="`brief` omits the texts from `call_history`")


class Params(Schema):
    """Changes to a request for a target that rejects common parameters."""

    rename: dict[Text, Text] = Field(
        default_factory=dict, max_length=64, description="fields to rename, old name to new name"
    )
    drop: tuple[Text, ...] = Field(
        (), max_length=64, description="fields to remove. The call's `call_history` entry names them"
    )
    allow: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="additional fields that are sent under a `max_cost`, because they cost nothing here",
    )
    set: dict[Text, Any] = Field(
        default_factory=dict, max_length=64, description="fields to set, over what the client sent"
    )


class TargetConfig(Schema):
    """A model that answers, without the place of its API key."""

    name: Name = Field(description="name for clients and the router model. It must not begin with `router`")
    base_url: BaseUrl = Field(description="OpenAI-compatible endpoint, with `/v1` if it has one")
    model: Word | None = Field(None, description="name of the model at its endpoint; default: `name`")
    price: Price | None = Field(
        None,
        description="price of its calls. Calls without a price cost 0 and are marked `unpriced`, and none is made under"
        " a `max_cost`; default: unknown",
    )
    description: str = Field(
        "",
        max_length=1000,
        description="what the model is good at and when it is worth its price, for the router model",
    )
    capabilities: tuple[Capability, ...] | None = Field(
        None,
        max_length=16,
        description="what the model supports. Requests that need another capability are not sent to it; default: all",
    )
    context_length: int | None = Field(
        None, ge=1, description="context length in tokens. Longer requests are not sent to it; default: unlimited"
    )
    max_output: int | None = Field(
        None,
        ge=1,
        description="maximum number of output tokens, set under a `max_cost` if the client sets none; default: 32,768",
    )
    max_image_tokens: int = Field(
        5000, ge=1, description="maximum number of tokens of an image, assumed under a `max_cost`"
    )
    timeout: Seconds = Field(300.0, description="seconds without data before a call fails")
    max_in_flight: int | None = Field(
        None, ge=1, description="maximum number of concurrent calls, over all workers; default: unlimited"
    )
    params: Params = Field(Params(), description="changes to requests, for a model that rejects common parameters")
    headers: dict[Text, Text] = Field(default_factory=dict, max_length=64, description="headers to add to calls")
    query: dict[Text, Text] = Field(default_factory=dict, max_length=64, description="query parameters to add to calls")

    @property
    def upstream_model(self) -> str:
        """Returns the model name that is sent to `base_url`."""
        return self.model or self.name

    @property
    def tool_name(self) -> str:
        """Returns the name of the tool by which the router model calls this target."""
        return tool_name(self.name)


class Target(Secret, TargetConfig):
    """A model that answers."""


class RequestHandlingConfig(Schema):
    """How requests are received."""

    max_body_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, description="maximum bytes of a request body. Larger ones get a 413"
    )
    max_in_flight: int = Field(
        1024, ge=1, description="maximum number of concurrent requests, over all workers. More get a 429"
    )
    ping_after: Seconds = Field(
        15.0, description="seconds without data before a stream gets a comment, so that proxies keep it open"
    )
    cors_origins: tuple[Text, ...] = Field((), max_length=64, description="origins of web pages that may call the API")
    workers: int = Field(1, ge=1, le=256, description="number of worker processes")
    log_level: LogLevel = Field("info", description="minimum level of log lines")
    log_prompts: bool = Field(False, description="whether prompts and answers are logged too")


class Server(RequestHandlingConfig):
    """The listening side."""

    host: str = Field(
        "127.0.0.1", min_length=1, max_length=255, description="address to listen on. `0.0.0.0` is all addresses"
    )
    port: Port = Field(8800, description="port to listen on")
    admin_port: Port | None = Field(
        None,
        description="port for monitoring, which serves everything but completions, without a key. 0 turns it off;"
        " default: `server.port` + 1",
    )
    api_keys_file: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="YAML list of `{name, sha256, requests_per_day, usd_per_day}`. Without it the API is open to"
        " everybody. To remove it again, write `null`",
    )

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _is_not_empty(cls, path: Any) -> Any:
        if path == "":
            raise ValueError("is empty; name the keys file, or write `null` to open the server to everybody")
        return path


_SECTIONS: dict[str, type[Schema]] = {"server": Server, "router": RouterModelConfig, "routing": Routing}


class Configuration(Schema):
    """The whole file.

    `server` comes first, so that a file that is cut loses other sections before it loses the keys.
    """

    server: Server = Server()
    router: RouterModelConfig = RouterModelConfig()
    routing: Routing = Routing()
    targets: tuple[Target, ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="models that answer; default: every model that the router model's endpoint lists, at price 0",
    )

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
    """Returns `call_` and the target's name, with `_` for other characters than letters and digits, cut to 64."""
    return ("call_" + re.sub(r"[^A-Za-z0-9_]", "_", name))[:64]


def check_names(targets: Sequence[TargetConfig], routing: Routing) -> None:
    """Raises ValueError if a name is taken twice, is reserved, or is not the name of a target."""
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


def _check_tool_names(targets: Sequence[TargetConfig]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        other = seen.setdefault(target.tool_name, target.name)
        if other != target.name:
            raise ValueError(
                f"targets: `{other}` and `{target.name}` would both be called as `{target.tool_name}`; rename one"
            )
