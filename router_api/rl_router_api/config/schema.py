"""The schema of the router API's configuration. The values come from a YAML file, environment variables and flags.

Prices of tokens are in US dollars per million tokens, and durations are in seconds. The configuration names the source
of an API key (`api_key_env`, `api_key_file`) and has no field for the key itself. The package `config` imports no
third-party packages except pydantic and PyYAML, so that other programs can import the schema. Every field has an alias
in camelCase. A program that passes `BY_ALIAS` to pydantic's `model_validate` reads the aliases instead of the field
names.

The field descriptions appear in docs/configuration.md. Many also appear in the help of `rl-router serve`, in the CRD
and in the reference of the CRD. A description ends with "; default: …" if the default of the field needs an
explanation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from .host import Host
from .unknown_keys import remedy, unknown_key

BY_ALIAS: dict[str, Any] = {"by_alias": True, "by_name": False, "context": "camelCase"}
"""Arguments with which pydantic's `model_validate` reads the camelCase aliases instead of the field names."""

ROUTED_NAMES = ("router-tool-rl", "router")
"""The model names for which the router API routes a request. The field `routing.aliases` adds more names."""

BUNDLED = "bundled"
"""The value of the field `routing.artefacts` that means the artefact that RL Router contains."""

Capability = Literal["tools", "vision", "audio", "video", "file", "json_schema", "n", "logprobs"]
Prefer = Literal["cost", "balanced", "quality"]
Review = Literal["buffered", "never", "always"]
Protocol = Literal["auto", "tools", "json_schema"]
ToolChoice = Literal["required", "auto"]
CallHistory = Literal["full", "brief"]
IdCharacters = Literal["any", "letters_digits_dashes", "letters_digits"]
LogLevel = Literal["debug", "info", "warning", "error"]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[
    Decimal,
    Field(ge=0, allow_inf_nan=False, max_digits=24, decimal_places=12),
    # pydantic counts no digits of zero, so `0e-50000000` is valid, but written in full it has millions of digits.
    AfterValidator(lambda dollars: dollars or Decimal(0)),
]
Worth = Annotated[Decimal, Field(gt=0, le=10**12, allow_inf_nan=False, max_digits=24, decimal_places=12)]


def _check_goal(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        message = f"must be {', '.join(get_args(Prefer))}, or the worth of a good answer in USD: a number above 0"
        raise ValueError(f"{message} (got {value!r}). Use one of the words or a number such as 0.01") from None


Goal = Annotated[Prefer | Worth, WrapValidator(_check_goal)]
"""A goal, or the worth of a good answer in US dollars."""
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
BenchmarkScore = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=4096)]
ServiceTier = Annotated[str, Field(min_length=1, max_length=64)]
HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
HeaderName = Annotated[str, Field(min_length=1, max_length=128, pattern=HEADER_NAME.pattern)]


_FRAMING_HEADERS = frozenset({"connection", "content-length", "host", "transfer-encoding"})


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid header name. Use letters, digits and hyphens")
        if name.lower() in _FRAMING_HEADERS:
            raise ValueError(f"the router API itself controls the header {name} of its requests. Remove the header")
        if not value.isprintable():
            raise ValueError(
                f"the value of the header {name} contains a line break or another character that is not"
                " printable. Remove the character"
            )
    return headers


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the URL needs http:// or https:// and a host. Use a URL such as https://api.openai.com/v1")
    if parts.port == 0:  # urlsplit raises ValueError for every other invalid port
        raise ValueError("the URL has the invalid port 0. Use a port from 1 to 65535, or leave the port out")
    if parts.query or parts.fragment:
        raise ValueError("the URL has a query or fragment. Remove it, or move a target's query to the field `query`")
    return url.rstrip("/")


Headers = Annotated[dict[Text, Text], Field(max_length=64), AfterValidator(_check_headers)]
BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_check_base_url)]


class Schema(BaseModel):
    """An immutable pydantic model of settings. The error for an unknown key suggests a known key or lists all."""

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
    """The prices in USD per million tokens by which a price tier or a service tier replaces prices in `Price`.

    A field that is not set replaces no price.
    """

    input: Dollars | None = Field(
        None,
        description="price of prompt tokens, in USD per million tokens; default: the price that applies without the"
        " tier",
    )
    cached_input: Dollars | None = Field(
        None,
        description="price of prompt tokens that are read from a prompt cache, in USD per million tokens; default: the"
        " price that is configured outside the tier, or the same as `input` if no such price is configured",
    )
    cache_write: Dollars | None = Field(
        None,
        description="price of prompt tokens that are written to a prompt cache, for the shorter lifetime if the cache"
        " has two lifetimes, in USD per million tokens; default: the price that is configured outside the tier, or the"
        " same as `input` if no such price is configured",
    )
    cache_write_long: Dollars | None = Field(
        None,
        description="price of prompt tokens that are written to a prompt cache for the longer of two cache lifetimes,"
        " in USD per million tokens; default: the price that is configured outside the tier, or the price for the"
        " shorter cache lifetime if no such price is configured",
    )
    output: Dollars | None = Field(
        None,
        description="price of completion tokens, including reasoning tokens, in USD per million tokens; default: the"
        " price that applies without the tier",
    )


class PriceTier(Rates):
    """The token prices of a request with more than `above_tokens` prompt tokens, unless a higher tier applies."""

    above_tokens: int = Field(
        ge=1, description="number of prompt tokens above which the prices of the tier apply to all tokens of a request"
    )


class Price(Schema):
    """The prices of a model in USD. The price `request` is per request. All other prices are per million tokens."""

    input: Dollars = Field(Decimal(0), description="price of prompt tokens, in USD per million tokens")
    cached_input: Dollars | None = Field(
        None,
        description="price of prompt tokens that are read from a prompt cache, in USD per million tokens; default:"
        " same as `input`",
    )
    cache_write: Dollars | None = Field(
        None,
        description="price of prompt tokens that are written to a prompt cache, for the shorter lifetime if the cache"
        " has two lifetimes, in USD per million tokens; default: same as `input`",
    )
    cache_write_long: Dollars | None = Field(
        None,
        description="price of prompt tokens that are written to a prompt cache for the longer of two cache lifetimes,"
        " in USD per million tokens; default: the price for the shorter cache lifetime",
    )
    output: Dollars = Field(
        Decimal(0), description="price of completion tokens, including reasoning tokens, in USD per million tokens"
    )
    request: Dollars = Field(
        Decimal(0),
        description="price of each request to the model in USD, in addition to the prices of the request's tokens",
    )
    tiers: tuple[PriceTier, ...] = Field(
        (),
        max_length=4,
        description="price tiers for requests with many prompt tokens. The prices of the highest tier that applies to a"
        " request replace the usual prices per token",
    )
    service_tiers: dict[ServiceTier, Rates] = Field(
        default_factory=dict,
        max_length=8,
        description="prices per token of the provider's service tiers, as a map from names such as `flex` or"
        " `priority` to prices. The service tier of a call is the service tier that the answer reports",
    )


class Secret(Schema):
    """The source of an API key: an environment variable or a file. No field contains the key itself."""

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
        description="path of the file that contains the API key. The router API reads the file again when the file"
        " changes",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("`api_key_env` and `api_key_file` are both set. Remove one of the two fields")
        return self


class DecisionConfig(Schema):
    """The fields of the `router` section that configure how the router API requests decisions."""

    protocol: Protocol = Field(
        "auto",
        description="format in which the router model returns decisions. The value `tools` means tool calls, for"
        " router models that were trained to route. The value `json_schema` means JSON that follows a schema, for"
        " router models that were not trained to route. With the value `auto`, each worker process begins with `tools`,"
        " and changes to `json_schema` if it cannot read the router model's tool calls for 5 of its last 10 requests",
    )
    tool_choice: ToolChoice | None = Field(
        None,
        description="value of the request field `tool_choice` if the router model returns decisions as tool calls. Use"
        " `auto` for a router model that was trained to think before a tool call; default: `auto` if the router model"
        " may answer the request directly, and otherwise `required`",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature of the router model")
    max_tokens: int = Field(
        1024, ge=16, le=65_536, description="maximum number of output tokens of a call to the router model"
    )
    timeout: Seconds = Field(
        10.0,
        description="maximum duration of a call to the router model, in seconds. If the router model's decision is not"
        " complete in time, the router API returns the last completed answer, or uses the fallback order if no answer"
        " is complete",
    )


class RouterModelConfig(DecisionConfig, Secret):
    """The `router` section of the configuration, which describes the router model."""

    base_url: BaseUrl = Field(
        "http://127.0.0.1:8000/v1", description="URL of the OpenAI-compatible endpoint of the router model"
    )
    model: Word | None = Field(
        None,
        description="name under which the endpoint serves the router model; default: the first name that the endpoint"
        " lists",
    )
    context_length: int | None = Field(
        None,
        ge=512,
        description="context length of the router model in tokens. If a conversation does not fit into the"
        " context length or into about 24,000 bytes, the router API sends excerpts of the conversation to the router"
        " model; default: the context length that the endpoint lists, or 8192 if the endpoint lists no context length",
    )
    price: Price = Field(
        Price(),
        description="price of the router model's decisions. The field `router_cost` in `router_metadata` reports the"
        " cost of the decisions; default: a price of 0",
    )


class RoutingConfig(Schema):
    """The fields of the `routing` section except the folder of artefacts."""

    policy: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="name of the policy that chooses targets. The policy `rl` calls the router model. The policy"
        " `learned` predicts the quality and the cost of each target's answer, without a router model. The policy"
        " `fixed` calls the first target of the fallback order that can serve the request; default: `rl` if a field of"
        " the section `router` is set, if no targets are configured, if a router model answers on port 8000, or if the"
        " policy `learned` lacks an artefact or its libraries, and otherwise `learned`",
    )
    prefer: Goal = Field(
        "balanced",
        description="goal by which the policy chooses targets: low cost, high quality, or a balance of cost and"
        " quality. A number is the worth of a good answer in USD, by which the policy `learned` weighs quality against"
        " cost. For the router model and the default fallback order, a number counts as the goal whose worth of a good"
        " answer is closest to the number",
    )
    guard: bool = Field(
        True,
        description="whether the policy `learned` may choose targets only after evidence has shown that it is better"
        " than each single target. Until then, one target serves all requests that it can serve",
    )
    guard_margin: float = Field(
        0.02,
        ge=0,
        le=1,
        description="loss of utility per request that the guard tolerates. If the policy `learned` is probably better"
        " than each single target, and is surely not worse by more than this loss, the policy may choose targets. A"
        " good answer has the utility 1. With 0, the policy may choose targets only if it is surely better",
    )
    second_price: Dollars = Field(
        Decimal(0),
        description="price of a second of waiting in USD, by which the policy `learned` weighs quality against latency."
        " With a price above 0, the policy may choose targets only if `guard` is false",
    )
    max_turns: int = Field(3, ge=1, le=32, description="maximum number of routing decisions per request")
    max_calls: int = Field(
        8,
        ge=1,
        le=64,
        description="maximum number of attempts to call targets per request, including retries, hedges (parallel calls"
        " to a second target) and fallbacks",
    )
    review: Review = Field(
        "buffered",
        description="which answers the router model reviews before the router API returns an answer to the client."
        " With `buffered`, the router model reviews all answers except the answer of the only call of a streamed"
        " request, which is streamed through. With `never`, the router model reviews no answers, so the router API"
        " returns the answer of the first successful call. With `always`, the router model reviews all answers,"
        " including the answers to streamed requests. Answers of calls in the last turn, and of calls that the router"
        " model did not choose, are never reviewed",
    )
    deadline: Seconds = Field(
        600.0,
        description="maximum duration of a request in seconds. At the deadline, the router API returns the last"
        " completed answer, or an error if no answer is complete",
    )
    max_cost: Dollars | None = Field(
        None,
        description="maximum cost of a request in USD. The router API makes no call whose worst-case cost exceeds the"
        " remaining budget of the request; default: no maximum",
    )
    fallback: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="names of targets, in the order in which the router API calls the targets if the policy's decisions"
        " lead to no answer; default: all targets that can serve the request, in the order that the goal in `prefer`"
        " determines",
    )
    hedge_after: Seconds | None = Field(
        None,
        description="number of seconds that the router API waits for the first content of a target's answer before the"
        " router API also calls the first other target of the fallback order. Only routed requests outside tool loops"
        " get such a second call; default: the router API waits only for the first target",
    )
    direct_answers: bool | None = Field(
        None,
        description="whether the router model may answer a request itself; default: true if the router model's"
        " `protocol` is `tools`, and otherwise false",
    )
    system_prompts: bool = Field(True, description="whether the router model may add advice to a target's prompt")
    aliases: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="additional names for the model `router`, for clients that cannot send the model name `router`",
    )
    call_history: CallHistory = Field(
        "full",
        description="content of `call_history` in `router_metadata`. With `full`, `call_history` contains the text of"
        " each call's answer. With `brief`, `call_history` does not contain the answers",
    )


class Routing(RoutingConfig):
    """The `routing` section of the configuration: rules for routing. A request can override or tighten some rules."""

    artefacts: str = Field(
        BUNDLED,
        min_length=1,
        max_length=4096,
        description="path of the folder with the artefacts of the policy `learned`. The folder is an artefact, or"
        " contains artefacts, of which the router API uses the newest. The value `bundled` means the artefact that"
        " RL Router contains",
    )


class Params(Schema):
    """Changes to the fields of requests, for a target that rejects common request fields."""

    rename: dict[Text, Text] = Field(
        default_factory=dict,
        max_length=64,
        description="request fields to rename, as a map from the old name to the new name",
    )
    drop: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="names of request fields to remove. The call's entry in `call_history` names the removed request"
        " fields",
    )
    allow: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="names of request fields that cause no extra cost at the target. If a `max_cost` limits a"
        " request, the router API removes all request fields that may cause extra cost, except the fields in `allow`",
    )
    set: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=64,
        description="request fields to set, as a map from name to value. A value in `set` replaces the client's value"
        " of the same request field. The value null sets the request field to null",
    )


class ToolCallIds(Schema):
    """The form of tool call ids that a target accepts.

    If a tool call's id does not have this form, and no target of the same signing family made the tool call, the
    router API replaces the id.
    """

    length: int | None = Field(
        None,
        ge=8,
        le=64,
        description="number of characters of each tool call id, if the target accepts no other length",
    )
    max_length: int | None = Field(
        None,
        ge=8,
        description="maximum number of characters of a tool call id. If `length` is set, the maximum number of"
        " characters is ignored; default: an unlimited number of characters",
    )
    characters: IdCharacters = Field(
        "any",
        description="characters that a tool call id may contain. The value `letters_digits_dashes` allows ASCII"
        " letters, digits, `-` and `_`",
    )


class History(Schema):
    """Describes the form in which a target accepts answers of other models in a conversation."""

    tool_call_ids: ToolCallIds = Field(ToolCallIds(), description="form of the tool call ids that the target accepts")
    drop: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="names of message fields, names of tool call fields and types of content parts that the router API"
        " removes from the answers in a conversation. An answer with tool calls loses only null fields if a target of"
        " the same signing family wrote the answer. The call's entry in `call_history` names the removed fields and"
        " content parts",
    )
    add_to_messages: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=16,
        description="fields that the target requires in messages with tool calls, as a map from name to value. If a"
        " required field is missing or null in such a message, the router API sets the field",
    )
    add_to_tool_calls: dict[Text, Any] = Field(
        default_factory=dict,
        max_length=16,
        description="fields that the target requires in the first tool call of a message, as a map from name to value."
        " If no tool call of a message has a required field, the router API adds the field to the first tool call",
    )


class TargetProfile(Schema):
    """The size and the benchmark scores of a target's model."""

    parameters_billion: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="number of the model's parameters in billions; default: the number that RL Router knows for the"
        " model's name, if any",
    )
    benchmarks: dict[Word, BenchmarkScore] = Field(
        default_factory=dict,
        max_length=64,
        description="scores of the model in benchmarks, as a map from the benchmark's name to a number from 0 to 1",
    )


class TargetConfig(Schema):
    """The fields of a target except the source of the target's API key.

    In a RouterDeployment, the source of the API key is a Kubernetes Secret.
    """

    name: Name = Field(
        description="name by which clients call the target. The name of a target must not begin with `router`"
    )
    base_url: BaseUrl = Field(
        description="URL of the target's OpenAI-compatible endpoint without `/chat/completions`, such as"
        " `https://api.openai.com/v1`"
    )
    model: Word | None = Field(
        None,
        description="name under which the endpoint serves the target. The policy `learned` knows the target if the"
        " policy was trained on outcomes of a model with this name, or of a model with the target's `name`; default:"
        " the target's `name`",
    )
    price: Price | None = Field(
        None,
        description="price of calls to the target. If the price of a target is unknown, calls to the target count as 0"
        " USD, and `call_history` marks these calls as `unpriced`. Requests that a `max_cost` limits cannot"
        " use a target whose price is unknown; default: an unknown price",
    )
    api_key_header: HeaderName | None = Field(
        None,
        description="name of the HTTP header in which the router API sends the API key without the prefix `Bearer`,"
        " such as `api-key` for Azure; default: `Authorization`, with the prefix `Bearer`",
    )
    description: str = Field(
        "",
        max_length=1000,
        description="strengths of the model, and the requests for which the model is worth its price. The router model"
        " reads the descriptions of the targets when it chooses a target",
    )
    profile: TargetProfile | None = Field(
        None,
        description="size and benchmark scores of the model. If the policy `learned` was not trained on outcomes of the"
        " target, the policy estimates the quality of the target's answers from the profile and the price; default:"
        " the profile that RL Router knows for the model's name, if any",
    )
    capabilities: tuple[Capability, ...] | None = Field(
        None,
        max_length=16,
        description="capabilities of the model. If a request needs a capability that the model does not have, the"
        " router API does not send the request to the target; default: all capabilities",
    )
    context_length: int | None = Field(
        None,
        ge=1,
        description="context length of the model in tokens. If the estimated prompt tokens and the output limit of a"
        " request together exceed the context length, the router API does not send the request to the target; default:"
        " an unlimited context length",
    )
    max_output: int | None = Field(
        None,
        ge=1,
        description="maximum number of output tokens of each choice if a `max_cost` limits the request and the client"
        " sets no output limit. If output tokens cost nothing, there is no maximum; default: 32,768",
    )
    max_image_tokens: int = Field(
        5000,
        ge=1,
        description="number of tokens that the router API counts for each image when the router API checks the"
        " `max_cost` of a request or of the server",
    )
    timeout: Seconds = Field(
        300.0, description="number of seconds without data from the target after which a call to the target fails"
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        description="maximum number of in-flight calls to the target over all worker processes of one server or API"
        " pod; default: unlimited",
    )
    params: Params = Field(
        Params(), description="changes to the fields of requests, for a target that rejects common request fields"
    )
    signing_family: Word | None = Field(
        None,
        description="name of a group of targets that accept each other's thinking and signatures, such as all targets"
        " of one provider; default: the target's `name`",
    )
    history: History | None = Field(
        None,
        description="form in which the target accepts answers of other models in a conversation; default: any"
        " form, except for an hour after the target has rejected an answer of another model",
    )
    headers: Headers = Field(default_factory=dict, description="HTTP headers to add to requests to the target")
    query: dict[Text, Text] = Field(
        default_factory=dict, max_length=64, description="query parameters to add to the URL of requests to the target"
    )

    @property
    def upstream_model(self) -> str:
        """Returns the model name that the router API sends to the target's endpoint."""
        return self.model or self.name

    @property
    def family(self) -> str:
        """Returns the name of the target's signing family."""
        return self.signing_family or self.name

    @property
    def tool_name(self) -> str:
        """Returns the name of the tool by which the router model calls this target."""
        return tool_name(self.name)


class Target(Secret, TargetConfig):
    """The configuration of a target, which is a model that answers requests."""


class RequestHandlingConfig(Schema):
    """The fields of the `server` section except the addresses, the ports and the keys file."""

    max_body_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="maximum size of a request body in bytes. A request with a body above the maximum size gets HTTP"
        " status 413",
    )
    max_pending_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="maximum total size in bytes of unfinished request bodies over all worker processes of one"
        " server or API pod. A request whose body would raise the total size above the maximum gets HTTP status 429."
        " Until the end of a request with a compressed body, the bytes that decompression adds count too. A maximum"
        " total size below the maximum size of one request body counts as that size. If the server has several"
        " API keys, the maximum total size for each API key is half of the server's maximum total size, but at least"
        " the maximum size of one request body",
    )
    max_in_flight: int = Field(
        1024,
        ge=1,
        description="maximum number of in-flight requests over all worker processes of one server or API pod. A request"
        " that would exceed the maximum number of in-flight requests gets HTTP status 429. A request is in flight from"
        " the moment when its body is complete until the request ends",
    )
    ping_after: Seconds = Field(
        15.0,
        description="number of seconds without data in a stream after which the server sends a comment into the"
        " stream, so that proxies do not close the stream",
    )
    cors_origins: tuple[Text, ...] = Field((), max_length=64, description="origins of web pages that may call the API")
    workers: int = Field(1, ge=1, le=256, description="number of worker processes of the server or of each API pod")
    log_level: LogLevel = Field("info", description="minimum level of the log lines that the router API writes")
    log_prompts: bool = Field(False, description="whether the log contains prompts and answers")


class Server(RequestHandlingConfig):
    """The `server` section of the configuration, with settings such as addresses, ports, keys file and limits."""

    host: Host = Field(
        "127.0.0.1",
        description="address on which the server listens. The address `0.0.0.0` means all IPv4 addresses, and the"
        " address `::` means all IPv4 and IPv6 addresses. A host name means the first IPv4 address of the host, or the"
        " first IPv6 address of a host without an IPv4 address. In the container images, the default is `0.0.0.0`",
    )
    port: Port = Field(8800, description="port on which the server listens")
    admin_host: Host = Field(
        "127.0.0.1",
        description="address of the admin port, in the same forms as `host`. In the container images, the default is"
        " `0.0.0.0`. The admin port requires no API key, and serves GET and HEAD requests to `/`, `/health`, `/ready`,"
        " `/metrics` and `/debug/tools`",
    )
    admin_port: Port | None = Field(
        None,
        description="port for monitoring (the admin port). The value 0 disables the admin port; default:"
        " `server.port` + 1, or 0 if `server.port` is 0",
    )
    api_keys_file: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="path of the keys file, which is a YAML list with a mapping for each API key of a client. A mapping"
        " has the fields `name` and `sha256`, and may have the daily limits `requests_per_day` and `usd_per_day`."
        " Without a keys file, clients need no API key. The value `null` means that there is no keys file",
    )

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _is_not_empty(cls, path: Any) -> Any:
        if path == "":
            raise ValueError("the path is empty. Name the keys file, or write `null` if clients need no API key")
        return path


_SECTIONS: dict[str, type[Schema]] = {"server": Server, "router": RouterModelConfig, "routing": Routing}


class Configuration(Schema):
    """The whole configuration of the router API.

    Configuration files should begin with the section `server`, so that a truncated file still names the keys file.
    """

    server: Server = Server()
    router: RouterModelConfig = RouterModelConfig()
    routing: Routing = Routing()
    targets: tuple[Target, ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="models that answer requests; default: every model with a valid name that the router model's"
        " endpoint lists, at a price of 0",
    )

    @model_validator(mode="before")
    @classmethod
    def _reject_misplaced_keys(cls, data: Any) -> Any:
        """Raises an error for a key in the wrong section.

        The error names the sections to which the key may belong. The pydantic model of a section cannot raise such
        an error, because the model knows only the keys of the section.
        """
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
    """Yields the dotted path, the mapping and the pydantic model of a configuration and of each section and target."""
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
    """Returns the dotted names, in backticks, of all fields of sections and targets whose name equals `key`."""
    sections: dict[str, type[Schema]] = {**_SECTIONS, "targets": Target}
    return [f"`{section}.{key}`" for section, model in sections.items() if key in model.model_fields]


@lru_cache(maxsize=1024)
def tool_name(name: str) -> str:
    """Returns the name of the tool by which the router model calls the target `name`.

    The tool name is `call_` and the target's name, cut to 64 characters. All characters of the target's name except
    ASCII letters, digits and `_` become `_`.
    """
    return ("call_" + re.sub(r"[^A-Za-z0-9_]", "_", name))[:64]


def check_names(targets: Sequence[TargetConfig], routing: Routing) -> None:
    """Raises ValueError if a target's name is reserved or conflicts with another name.

    Also raises ValueError if a name in the fallback order is unknown.
    """
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"targets: two targets are called `{name}`. Rename one of the targets")
        if name.startswith("router"):
            raise ValueError(
                f"targets: the name `{name}` is reserved, because it begins with `router`. Choose another name"
            )
        if name in routing.aliases:
            raise ValueError(f"routing.aliases: `{name}` is also the name of a target. Rename the alias or the target")
    _check_tool_names(targets)
    for name in routing.fallback:
        if name not in names:
            raise ValueError(
                f"routing.fallback: unknown target `{name}`: targets are {', '.join(names)}."
                " Fix the name in the fallback order, or add the target"
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
