"""Defines `spec.routing` and `spec.targets`: the schema of the router API, but with API keys from Secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rl_router_api.config import DecisionConfig, Routing, TargetConfig, Text

from .base import KeyRef, begins_like_a_key, rules, url_rule

HeaderValue = Annotated[str, Field(max_length=4096, pattern="^[ -~]*$")]


class RoutingSpec(Routing, DecisionConfig):
    """The settings for routing requests and for calling the router model."""


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
            "a header name must be printable ASCII without blanks and `:`. Fix the name",
            ".headers",
        ),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('(?i)"
            "(authorization|cookie|token|secret|password|api[-_]?key|subscription-key)$'))",
            "a secret in a header would be visible in a ConfigMap. Put the API key into apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.headers) || !self.headers.exists(key, {begins_like_a_key('self.headers[key]')})",
            "a header that begins with Bearer, Basic, hf_ or sk- looks like an API key, which would be visible in a"
            " ConfigMap. Put the API key into apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.query) || !self.query.exists(key, {begins_like_a_key('self.query[key]')})",
            "a parameter that begins with Bearer, Basic, hf_ or sk- looks like an API key, which would be visible in a"
            " ConfigMap. Put the API key into apiKeySecretRef",
            ".query",
        ),
        (
            "!has(self.query) || !self.query.exists(key, key.matches('(?i)"
            "^(key|sig|signature)$|(token|secret|password|api[-_]?key|subscription-key)$'))",
            "a secret in a query parameter would be visible in a ConfigMap. Put the API key into apiKeySecretRef",
            ".query",
        ),
    )

    api_key_secret_ref: KeyRef | None = Field(None, description="key of a Secret that contains the target's API key")
    headers: dict[Text, HeaderValue] = Field(
        default_factory=dict,
        max_length=64,
        description="HTTP headers to add to requests to the target. Put API keys into `apiKeySecretRef`, not here",
    )
