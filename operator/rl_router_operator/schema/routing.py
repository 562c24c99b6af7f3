"""`spec.routing` and `spec.targets`: the API's schema, but with Secrets instead of variables and files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rl_router_api.config import DecisionConfig, Routing, TargetConfig, Text

from .base import KeyRef, begins_like_a_key, rules, url_rule

HeaderValue = Annotated[str, Field(max_length=4096, pattern="^[ -~]*$")]


class RoutingSpec(Routing, DecisionConfig):
    """How requests are routed and how the router model is called."""


class TargetSpec(TargetConfig):
    """A target model."""

    model_config = rules(
        (
            "!self.name.startsWith('router')",
            "names that begin with `router` are reserved for the router. Choose another name",
            ".name",
        ),
        url_rule("baseUrl"),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('[^!-9;-~]'))",
            "the name of a header must be printable ASCII without blanks or `:`",
            ".headers",
        ),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('(?i)"
            "(authorization|cookie|token|secret|password|api[-_]?key|subscription-key)$'))",
            "a secret in a header would be visible in a ConfigMap. Put a key into apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.headers) || !self.headers.exists(key, {begins_like_a_key('self.headers[key]')})",
            "a value that looks like a key (Bearer, Basic, hf_, sk-) would be visible in a ConfigMap. Put a key into"
            " apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.query) || !self.query.exists(key, {begins_like_a_key('self.query[key]')})",
            "a value that looks like a key (Bearer, Basic, hf_, sk-) would be visible in a ConfigMap. Put a key into"
            " apiKeySecretRef",
            ".query",
        ),
        (
            "!has(self.query) || !self.query.exists(key, key.matches('(?i)"
            "^(key|sig|signature)$|(token|secret|password|api[-_]?key|subscription-key)$'))",
            "a secret in a parameter would be visible in a ConfigMap. Put a key into apiKeySecretRef",
            ".query",
        ),
    )

    api_key_secret_ref: KeyRef | None = Field(None, description="key of a Secret with the API key")
    headers: dict[Text, HeaderValue] = Field(
        default_factory=dict, max_length=64, description="headers to add to calls, without keys"
    )
