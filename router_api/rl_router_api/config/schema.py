"""The configuration's schema, for the YAML file, the environment variables and the flags.

Prices are in US dollars per million tokens, and durations are in seconds. The configuration names the source of a
secret (`api_key_env`, `api_key_file`) and never contains the secret. This module imports only pydantic, so that other
programs can embed the schema. Every field has an alias in camelCase, which programs use with `BY_ALIAS`.

The field descriptions appear in docs/configuration.md, in `--help`, in the CRD and in its reference. A description ends
with "; default: …" if the default needs an explanation.
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

from .host import Host
from .unknown_keys import remedy, unknown_key

BY_ALIAS: dict[str, Any] = {"by_alias": True, "by_name": False, "context": "camelCase"}
"""Arguments of `model_validate` that make it read the camelCase aliases instead of the field names."""

ROUTED_NAMES = ("router-tool-rl", "router")
"""The model names that clients send to have a request routed."""

Capability = Literal["tools", "vision", "audio", "video", "file", "json_schema", "n", "logprobs"]
Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
Protocol = Literal["auto", "tools", "json_schema"]
ToolChoice = Literal["required", "auto"]
CallHistory = Literal["full", "brief"]
IdCharacters = Literal["any", "letters_digits_dashes", "letters_digits"]
LogLevel = Literal["debug", "info", "warning", "error"]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24, decimal_places=12)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=4096)]
ServiceTier = Annotated[str, Field(min_length=1, max_length=64)]
HeaderName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL, such as https://api.openai.com/v1")
    if parts.port == 0:  # urlsplit raises ValueError for every other invalid port
        raise ValueError("port 0 is invalid. Use a port from 1 to 65535, or leave the port out")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment. Put parameters under `query`")
    return url.rstrip("/")


BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_check_base_url)]


class Schema(BaseModel):
    """An immutable model. The error for an unknown key names the nearest known key."""

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
    def _reject_unknown_keys(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict):
            by_alias = info.context == BY_ALIAS["context"]
            known = [field.alias or name if by_alias else name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in known:
                    raise unknown_key(key, remedy(str(key), known))
        return data


class Rates(Schema):
    """Prices in USD per million tokens that replace those of a `Price`. A missing price stays the same."""

    input: Dollars | None = Field(None, description="USD per million prompt tokens; default: unchanged")
    cached_input: Dollars | None = Field(
        None, description="USD per million prompt tokens read from a prompt cache; default: unchanged"
    )
    cache_write: Dollars | None = Field(
        None, description="USD per million prompt tokens written to a prompt cache; default: unchanged"
    )
    cache_write_long: Dollars | None = Field(
        None,
        description="USD per million prompt tokens written to a prompt cache for its longer lifetime; default:"
        " unchanged",
    )
    output: Dollars | None = Field(
        None, description="USD per million completion tokens, including reasoning tokens; default: unchanged"
    )


class PriceTier(Rates):
    """The prices of requests with a long input. They apply to all tokens of such a request."""

    above_tokens: int = Field(ge=1, description="number of prompt tokens above which these prices apply")


class Price(Schema):
    """Prices in USD. `request` is per request, and all other prices are per million tokens."""

    input: Dollars = Field(Decimal(0), description="USD per million prompt tokens")
    cached_input: Dollars | None = Field(
        None, description="USD per million prompt tokens read from a prompt cache; default: same as `input`"
    )
    cache_write: Dollars | None = Field(
        None, description="USD per million prompt tokens written to a prompt cache; default: same as `input`"
    )
    cache_write_long: Dollars | None = Field(
        None,
        description="USD per million prompt tokens written to a prompt cache for its longer lifetime; default: same as"
        " `cache_write`",
    )
    output: Dollars = Field(Decimal(0), description="USD per million completion tokens, including reasoning tokens")
    request: Dollars = Field(Decimal(0), description="USD per request")
    tiers: tuple[PriceTier, ...] = Field((), max_length=4, description="prices of requests with a long input")
    service_tiers: dict[ServiceTier, Rates] = Field(
        default_factory=dict,
        max_length=8,
        description="prices by the service tier that an answer reports, such as `flex` or `priority`",
    )


class Secret(Schema):
    """The source of an API key: an environment variable or a file. The key itself is never in the configuration."""

    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=128,
        description="name of the environment variable that contains the API key",
    )
    api_key_file: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="path of the file that contains the API key. The file is read again when it changes",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("`api_key_env` and `api_key_file` are both set. Remove one of the two fields")
        return self


class DecisionConfig(Schema):
    """The fields of the `router` section that describe how a decision is requested."""

    protocol: Protocol = Field(
        "auto",
        description="format of decisions. `tools`: tool calls, for models trained to route. `json_schema`: JSON that"
        " follows a schema, for any other model. `auto`: `tools`, then `json_schema` if the tool calls cannot be read",
    )
    tool_choice: ToolChoice | None = Field(
        None,
        description="value of `tool_choice` in requests to the router model with `protocol: tools`. Use `auto` for a"
        " model that was trained to think before it calls a tool;"
        " default: `required`, or `auto` with direct answers",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature of the router model")
    max_tokens: int = Field(1024, ge=16, le=65_536, description="maximum number of output tokens of one decision")
    timeout: Seconds = Field(
        10.0, description="maximum seconds without data from the router model before the fallback order is used"
    )


class RouterModelConfig(DecisionConfig, Secret):
    """The `router` section: the router model."""

    base_url: BaseUrl = Field("http://127.0.0.1:8000/v1", description="OpenAI-compatible endpoint of the router model")
    model: Word | None = Field(
        None, description="name of the model at its endpoint; default: the first name that the endpoint lists"
    )
    context_length: int | None = Field(
        None,
        ge=512,
        description="context length in tokens. Longer conversations are shortened; default: the length that the"
        " endpoint lists, else 8192",
    )
    price: Price = Field(
        Price(),
        description="price of the router model's decisions. Their cost is reported as `router_cost`; default: 0",
    )


class Routing(Schema):
    """The `routing` section: the rules for routing requests. A request can override some of the fields."""

    policy: str = Field(
        "rl",
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="name of the policy that chooses targets. `rl` calls the router model. `fixed` uses the first"
        " target of the fallback order",
    )
    prefer: Prefer = Field(
        "balanced",
        description="goal by which the router model chooses targets: low cost, high quality or a balance of both. It"
        " also sets the default fallback order",
    )
    max_turns: int = Field(3, ge=1, le=32, description="maximum number of routing decisions per request")
    max_calls: int = Field(
        8,
        ge=1,
        le=64,
        description="maximum number of target calls per request, including retries, hedges and fallbacks",
    )
    review: Review = Field(
        "buffered",
        description="answers that the router model reviews before one answer is returned. `buffered`: all answers, but"
        " in a stream a single call is streamed through. `never`: no answers, so the first call's answer is"
        " returned. `always`: all answers, also in a stream",
    )
    deadline: Seconds = Field(
        600.0,
        description="maximum seconds per request. At the deadline, the router returns the last completed answer, or an"
        " error if no answer is complete",
    )
    max_cost: Dollars | None = Field(
        None,
        description="maximum USD per request. The router does not make a call whose worst-case cost exceeds the"
        " remaining budget; default: no limit",
    )
    fallback: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="target names, in the order in which the router calls them without a decision of the router model;"
        " default: all capable targets, in the order that `prefer` sets",
    )
    hedge_after: Seconds | None = Field(
        None,
        description="seconds to wait for a target's first byte before the router also calls the next target;"
        " default: never",
    )
    direct_answers: bool | None = Field(
        None, description="whether the router model may answer a request itself; default: only with `protocol: tools`"
    )
    system_prompts: bool = Field(True, description="whether the router model may add advice to a target's prompt")
    aliases: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="additional model names for routed requests, for programs that cannot change their model name",
    )
    call_history: CallHistory = Field(
        "full",
        description="content of `call_history` in `router_metadata`. `full` includes the text of each call's answer,"
        " and `brief` omits it",
    )


class Params(Schema):
    """Changes to the fields of requests, for a target that rejects common parameters."""

    rename: dict[Text, Text] = Field(
        default_factory=dict,
        max_length=64,
        description="request fields to rename, as a map from the old name to the new name",
    )
    drop: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="request fields to remove. The call's entry in `call_history` names the removed fields",
    )
    allow: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="request fields that cost nothing extra at this target. With a `max_cost`, the router removes other"
        " fields that may cost extra",
    )
    set: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=64,
        description="request fields to set, as a map from name to value. These values replace the client's values",
    )


class ToolCallIds(Schema):
    """The form of tool call ids that a target accepts. Other ids in a conversation are mapped to this form."""

    length: int | None = Field(
        None, ge=8, le=64, description="number of characters of each id, if the target accepts no other length"
    )
    max_length: int | None = Field(
        None, ge=8, description="maximum number of characters of an id. `length` replaces it; default: unlimited"
    )
    characters: IdCharacters = Field(
        "any", description="characters of an id. `letters_digits_dashes` also allows the underscore"
    )


class History(Schema):
    """What a target accepts in a conversation that contains answers of other models."""

    tool_call_ids: ToolCallIds = Field(ToolCallIds(), description="form of the tool call ids that the target accepts")
    drop: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="fields of messages, fields of tool calls and types of content parts to remove from the answers in"
        " a conversation. Answers with tool calls of a target with the same `signing_family` keep them. The call's"
        " entry in `call_history` names the removed fields",
    )
    add_to_messages: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=16,
        description="fields that the target requires in messages with tool calls. The router adds them if they are"
        " missing",
    )
    add_to_tool_calls: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=16,
        description="fields that the target requires in the first tool call of a message. The router adds them if no"
        " tool call of the message has them",
    )


class TargetConfig(Schema):
    """A target without the source of its API key. In a RouterDeployment, the key comes from a Kubernetes Secret."""

    name: Name = Field(
        description="name by which clients and the router model call the target. It must not begin with `router`"
    )
    base_url: BaseUrl = Field(description="OpenAI-compatible endpoint, including `/v1` if the endpoint has that path")
    model: Word | None = Field(None, description="name of the model at its endpoint; default: `name`")
    price: Price | None = Field(
        None,
        description="price of calls to the target. Without a price, calls count as 0 and are marked `unpriced`, and"
        " requests with a `max_cost` cannot use the target; default: unknown",
    )
    api_key_header: HeaderName | None = Field(
        None,
        description="HTTP header that contains only the API key, such as `api-key` for Azure;"
        " default: `Authorization: Bearer KEY`",
    )
    description: str = Field(
        "",
        max_length=1000,
        description="strengths of the model, and when it is worth its price. The router model reads this text",
    )
    capabilities: tuple[Capability, ...] | None = Field(
        None,
        max_length=16,
        description="capabilities of the model. Requests that need another capability are not sent to the target;"
        " default: all",
    )
    context_length: int | None = Field(
        None,
        ge=1,
        description="context length in tokens. Longer requests are not sent to the target; default: unlimited",
    )
    max_output: int | None = Field(
        None,
        ge=1,
        description="maximum output tokens of a call if the request has a `max_cost` and the client sets no limit;"
        " default: 32,768",
    )
    max_image_tokens: int = Field(
        5000, ge=1, description="number of tokens that the router counts for each image when it checks a `max_cost`"
    )
    timeout: Seconds = Field(300.0, description="maximum seconds without data from the target before a call fails")
    max_in_flight: int | None = Field(
        None, ge=1, description="maximum number of concurrent calls to the target over all workers; default: unlimited"
    )
    params: Params = Field(Params(), description="changes to requests, for a model that rejects common parameters")
    signing_family: Word | None = Field(
        None,
        description="name of a group of targets that accept each other's thinking and signatures, such as all targets"
        " of one provider; default: `name`",
    )
    history: History | None = Field(
        None,
        description="what the target accepts in a conversation that contains answers of other models; default:"
        " everything, until the target rejects such an answer",
    )
    headers: dict[Text, Text] = Field(
        default_factory=dict, max_length=64, description="HTTP headers to add to requests to the target"
    )
    query: dict[Text, Text] = Field(
        default_factory=dict, max_length=64, description="query parameters to add to the URL of requests to the target"
    )

    @property
    def upstream_model(self) -> str:
        """Returns the model name that is sent to `base_url`."""
        return self.model or self.name

    @property
    def family(self) -> str:
        """Returns the name of the signing family."""
        return self.signing_family or self.name

    @property
    def tool_name(self) -> str:
        """Returns the name of the tool by which the router model calls this target."""
        return tool_name(self.name)


class Target(Secret, TargetConfig):
    """A target: a model that answers requests."""


class RequestHandlingConfig(Schema):
    """The fields of the `server` section except the address, the ports and the API keys."""

    max_body_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="maximum size of a request body in bytes. Larger requests get HTTP status 413",
    )
    max_pending_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="maximum total size in bytes of unfinished request bodies over all workers. Further bodies get HTTP"
        " status 429. A single body may always be as large as the maximum of a request body",
    )
    max_in_flight: int = Field(
        1024,
        ge=1,
        description="maximum number of concurrent requests over all workers. Further requests get HTTP status 429. A"
        " request counts when its body is complete",
    )
    ping_after: Seconds = Field(
        15.0,
        description="seconds without data in a stream before the server sends a comment, so that proxies do not"
        " close the stream",
    )
    cors_origins: tuple[Text, ...] = Field((), max_length=64, description="origins of web pages that may call the API")
    workers: int = Field(1, ge=1, le=256, description="number of worker processes")
    log_level: LogLevel = Field("info", description="minimum level of the log lines that are written")
    log_prompts: bool = Field(False, description="whether the log contains prompts and answers")


class Server(RequestHandlingConfig):
    """The `server` section: address, ports, API keys and limits."""

    host: Host = Field(
        "127.0.0.1",
        description="address to listen on. `0.0.0.0` means all IPv4 addresses, and `::` means all IPv4 and IPv6"
        " addresses. A host name means its first IPv4 address, or its first IPv6 address if it has no IPv4 address",
    )
    port: Port = Field(8800, description="port to listen on")
    admin_host: Host = Field(
        "127.0.0.1",
        description="address to listen on for monitoring, in the same forms as `host`. The container images listen on"
        " all addresses",
    )
    admin_port: Port | None = Field(
        None,
        description="port for monitoring. It requires no key and serves GET requests to `/`, `/health`, `/ready`,"
        " `/metrics` and `/debug/tools`. 0 disables the port; default: `server.port` + 1",
    )
    api_keys_file: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="path of the file with the clients' API keys, a YAML list of `{name, sha256, requests_per_day,"
        " usd_per_day}`. Without a keys file, clients need no key. Write `null` to remove the setting",
    )

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _is_not_empty(cls, path: Any) -> Any:
        if path == "":
            raise ValueError("is empty. Name the keys file, or write `null` to open the server to everybody")
        return path


_SECTIONS: dict[str, type[Schema]] = {"server": Server, "router": RouterModelConfig, "routing": Routing}


class Configuration(Schema):
    """The whole configuration.

    `server` comes first, so that a truncated file loses other sections before it loses the API keys.
    """

    server: Server = Server()
    router: RouterModelConfig = RouterModelConfig()
    routing: Routing = Routing()
    targets: tuple[Target, ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="models that answer requests; default: every model that the router model's endpoint lists, at"
        " price 0",
    )

    @model_validator(mode="before")
    @classmethod
    def _reject_misplaced_keys(cls, data: Any) -> Any:
        """Raises an error that names the right section for a misplaced key. A section knows only its own keys."""
        for path, part, model in _parts(data):
            for key in part:
                if key not in model.model_fields and (names := _fields_named(key)):
                    raise unknown_key(key, f"did you mean {' or '.join(names)}?", path)
        return data

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if self.targets is not None:
            check_names(self.targets, self.routing)
        return self


def _parts(data: Any) -> Iterator[tuple[str, dict[Any, Any], type[Schema]]]:
    """Yields the mapping of every section and target of a configuration, with its dotted path and its model."""
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


def _fields_named(key: Any) -> list[str]:
    """Returns the quoted dotted names of all fields that are called `key`."""
    sections: dict[str, type[Schema]] = {**_SECTIONS, "targets": Target}
    return [f"`{section}.{key}`" for section, model in sections.items() if key in model.model_fields]


@lru_cache(maxsize=1024)
def tool_name(name: str) -> str:
    """Returns `call_` and the target's name, cut to 64 characters. `_` replaces all but letters and digits."""
    return ("call_" + re.sub(r"[^A-Za-z0-9_]", "_", name))[:64]


def check_names(targets: Sequence[TargetConfig], routing: Routing) -> None:
    """Raises ValueError if a target's name is reserved or not unique, or if the fallback order has an unknown name."""
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"targets: two targets are called `{name}`. Rename one of the targets")
        if name.startswith("router"):
            raise ValueError(f"targets: `{name}` is reserved, because it begins with `router`. Choose another name")
        if name in routing.aliases:
            raise ValueError(f"routing.aliases: `{name}` is also the name of a target. Rename the alias or the target")
    _check_tool_names(targets)
    for name in routing.fallback:
        if name not in names:
            raise ValueError(
                f"routing.fallback: unknown target `{name}`: targets are {', '.join(names)}."
                " Fix the name or add the target"
            )


def _check_tool_names(targets: Sequence[TargetConfig]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        other = seen.setdefault(target.tool_name, target.name)
        if other != target.name:
            raise ValueError(
                f"targets: `{other}` and `{target.name}` have the same tool name `{target.tool_name}`."
                " Rename one of the targets"
            )
