"""`spec.routing` and `spec.targets`: the API's own schema, with Secrets instead of variables and files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rl_router_api.config import DecisionConfig, Routing, TargetConfig, Text

from .base import KeyRef, begins_like_a_key, rules, url_rule

HeaderValue = Annotated[str, Field(max_length=4096, pattern="^[ -~]*$")]


class RoutingSpec(Routing, DecisionConfig):
    """How requests are routed and how the router model is asked."""


class TargetSpec(TargetConfig):
    """A model that answers."""

    model_config = rules(
        (
            "!self.name.startsWith('router')",
            "names that begin with `router` are the router's own: choose another",
            ".name",
        ),
        url_rule("baseUrl"),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('[^!-9;-~]'))",
            "a header's name is printable ASCII without blanks and `:`",
            ".headers",
        ),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('(?i)"
            "(authorization|cookie|token|secret|password|api[-_]?key|subscription-key)$'))",
            "a header that holds a secret is not written here, where it would lie in a ConfigMap: a key goes into"
            " apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.headers) || !self.headers.exists(key, {begins_like_a_key('self.headers[key]')})",
            "a value that begins like a key (Bearer, Basic, hf_, sk-) is not written here, where it would lie in a"
            " ConfigMap: a key goes into apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.query) || !self.query.exists(key, {begins_like_a_key('self.query[key]')})",
            "a value that begins like a key (Bearer, Basic, hf_, sk-) is not written here, where it would lie in a"
            " ConfigMap: a key goes into apiKeySecretRef",
            ".query",
        ),
        (
            "!has(self.query) || !self.query.exists(key, key.matches('(?i)"
            "^(key|sig|signature)$|(token|secret|password|api[-_]?key|subscription-key)$'))",
            "a parameter that holds a secret is not written here, where it would lie in a ConfigMap: a key goes into"
            " apiKeySecretRef",
            ".query",
        ),
    )

    api_key_secret_ref: KeyRef | None = Field(None, description="the Secret's key that holds its API key")
    headers: dict[Text, HeaderValue] = Field(
        default_factory=dict, max_length=64, description="headers to add to its calls; no keys"
    )
