"""The configuration's schema: what the YAML file, the environment and the flags may say.

Prices are US dollars per million tokens, durations are seconds. Secrets are named (`api_key_env`, `api_key_file`),
never written. This module imports pydantic alone, so that other programs can embed the schema.
"""

from __future__ import annotations

import difflib
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

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


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL such as https://api.openai.com/v1")
    if parts.port == 0:  # one that is no number, or too large, is a ValueError already
        raise ValueError("must have a port from 1 to 65535, or none")
    if parts.query or parts.fragment:
        raise ValueError("must have no query or fragment; put parameters under `query`")
    return url.rstrip("/")


_MEANT = {"routes": "routing"}
"""What is meant by an unknown key that looks more like another known one."""

BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_check_base_url)]


class Schema(BaseModel):
    """Immutable, and an unknown key is refused with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    alike = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.4)
                    near = [name for name in cls.model_fields if name == _MEANT.get(key)] or alike
                    known = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key `{key}`; {known}")
        return data


class Price(Schema):
    """USD per million tokens; `request` is USD per request."""

    input: Dollars = Decimal(0)
    cached_input: Dollars | None = Field(None, description="prompt tokens read from a cache; as `input` where left out")
    output: Dollars = Decimal(0)
    request: Dollars = Decimal(0)


class Secret(Schema):
    """Where a key is to be found: an environment variable or a file, never the key itself."""

    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)
    api_key_file: str | None = Field(None, min_length=1, max_length=4096, description="re-read when it changes")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.api_key_env and self.api_key_file:
            raise ValueError("name the key once: `api_key_env` or `api_key_file`")
        return self


class Router(Secret):
    """The router model: the one that decides."""

    base_url: BaseUrl = "http://127.0.0.1:8000/v1"
    model: str | None = Field(None, min_length=1, max_length=256, description="default: the first name it lists")
    protocol: Protocol = "auto"
    tool_choice: ToolChoice | None = Field(
        None, description="default: `required`, or `auto` where direct answers are on"
    )
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(1024, ge=16, le=65_536, description="the most it may write for one decision")
    timeout: Seconds = 10.0
    context_length: int | None = Field(None, ge=512, description="default: what it lists of itself, else 8192")
    price: Price = Price()


class Routing(Schema):
    """How requests are routed where they do not say otherwise themselves."""

    policy: str = Field("rl", pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    prefer: Prefer = "balanced"
    max_turns: int = Field(3, ge=1, le=32, description="decisions a request may take")
    max_calls: int = Field(8, ge=1, le=64, description="target calls a request may make, retries included")
    review: Review = "buffered"
    deadline: Seconds = 600.0
    max_cost: Dollars | None = Field(None, description="USD a request may cost")
    fallback: tuple[Name, ...] = Field((), max_length=64, description="default: all capable targets, by `prefer`")
    hedge_after: Seconds | None = Field(None, description="without a first byte, ask the next target too")
    direct_answers: bool | None = Field(None, description="default: only with `protocol: tools`")
    system_prompts: bool = Field(True, description="let the router model add advice to the system prompt")
    aliases: tuple[Name, ...] = Field((), max_length=64, description="further model names that are routed")
    call_history: CallHistory = "full"


class Params(Schema):
    """What to change in a request for a target that refuses common parameters."""

    rename: dict[str, str] = Field(default_factory=dict, max_length=64)
    drop: tuple[str, ...] = Field((), max_length=64)
    set: dict[str, Any] = Field(default_factory=dict, max_length=64)


class Target(Secret):
    """A model that answers."""

    name: Name
    base_url: BaseUrl
    model: str | None = Field(None, min_length=1, max_length=256, description="its name at base_url; default: `name`")
    price: Price | None = Field(None, description="unknown where left out: cost 0, marked `unpriced`")
    description: str = Field("", max_length=1000, description="what it is good at; the router model reads it")
    capabilities: tuple[Capability, ...] | None = Field(None, description="default: all")
    context_length: int | None = Field(None, ge=1, description="tokens; default: unbounded")
    timeout: Seconds = Field(300.0, description="seconds without a byte")
    max_in_flight: int | None = Field(None, ge=1)
    params: Params = Params()
    headers: dict[str, str] = Field(default_factory=dict, max_length=64)
    query: dict[str, str] = Field(default_factory=dict, max_length=64)

    @property
    def upstream_model(self) -> str:
        """The model name that is sent to `base_url`."""
        return self.model or self.name

    @property
    def tool_name(self) -> str:
        """The function under which the router model calls this target."""
        return tool_name(self.name)


class Server(Schema):
    """The listening side."""

    host: str = Field("127.0.0.1", min_length=1, max_length=255)
    port: Port = 8800
    admin_port: Port | None = Field(
        None, description="serves all but completions, without a key; default: port + 1, 8801; 0 turns it off"
    )
    workers: int = Field(1, ge=1, le=256)
    api_keys_file: str | None = Field(None, min_length=1, max_length=4096)
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    max_in_flight: int = Field(1024, ge=1)
    ping_after: Seconds = 15.0
    cors_origins: tuple[str, ...] = Field((), max_length=64)
    log_level: LogLevel = "info"
    log_prompts: bool = Field(False, description="write prompts and answers to the log too")


class Configuration(Schema):
    """The whole file. Without `targets`, every model that the router model's server lists is one, at price 0."""

    router: Router = Router()
    routing: Routing = Routing()
    targets: tuple[Target, ...] | None = Field(None, min_length=1, max_length=64)
    server: Server = Server()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if self.targets is not None:
            check_names(self.targets, self.routing)
        return self


def tool_name(name: str) -> str:
    """`call_` and the target's name, every character but letters, digits and `_` as `_`, 64 characters at most."""
    return ("call_" + re.sub(r"[^A-Za-z0-9_]", "_", name))[:64]


def check_names(targets: tuple[Target, ...], routing: Routing) -> None:
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


def _check_tool_names(targets: tuple[Target, ...]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        other = seen.setdefault(target.tool_name, target.name)
        if other != target.name:
            raise ValueError(
                f"targets: `{other}` and `{target.name}` would both be called as `{target.tool_name}`; rename one"
            )
