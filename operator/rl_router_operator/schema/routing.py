"""Defines `spec.routing` and `spec.targets` with fields of the router API's configuration.

The targets' API keys come from Secrets.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rl_router_api.config import HEADER_NAME, DecisionConfig, RoutingConfig, TargetConfig, Text

from .base import KeyRef, begins_like_a_key, rules, url_rule

HeaderValue = Annotated[str, Field(max_length=4096, pattern="^[ -~]*$")]


class RoutingSpec(RoutingConfig, DecisionConfig):
    """The settings for routing requests and for calling the router model."""

    policy: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="name of the policy that chooses targets. The policy `rl` calls the router model. The policy"
        " `learned` predicts the quality and the cost of each target's answer with the artefact in the API's image. The"
        " policy `fixed` calls the first target of the fallback order that can serve the request; default: `rl`",
    )


class TargetSpec(TargetConfig):
    """A target in a RouterDeployment. The API key of the target, if any, comes from a Kubernetes Secret."""

    model_config = rules(
        (
            "!self.name.startsWith('router')",
            "target names that begin with `router` are reserved for the router. Choose another name for the target",
            ".name",
        ),
        url_rule("baseUrl"),
        (
            f'!has(self.headers) || self.headers.all(key, key.matches("{HEADER_NAME.pattern}"))',
            "a header name is not valid in HTTP. Use letters, digits and hyphens",
            ".headers",
        ),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('(?i)"
            "^(connection|content-length|host|transfer-encoding)$'))",
            "the API itself controls the headers Connection, Content-Length, Host and Transfer-Encoding of its"
            " requests. Remove these headers",
            ".headers",
        ),
        (
            "!has(self.headers) || !self.headers.exists(key, key.matches('(?i)"
            "(authorization|cookie|token|secret|password|api[-_]?key|subscription-key)$'))",
            "a header with a name such as Authorization, Cookie or X-API-Key may contain a secret, which would be"
            " visible in a ConfigMap. Put the secret into a Kubernetes Secret, and name the Secret in the field"
            " apiKeySecretRef and the header in the field apiKeyHeader",
            ".headers",
        ),
        (
            f"!has(self.headers) || !self.headers.exists(key, {begins_like_a_key('self.headers[key]')})",
            "a header's value that begins with Bearer, Basic, hf_ or sk- looks like an API key, which would"
            " be visible in a ConfigMap. Put the API key into a Secret, and name the Secret in the field"
            " apiKeySecretRef",
            ".headers",
        ),
        (
            f"!has(self.query) || !self.query.exists(key, {begins_like_a_key('self.query[key]')})",
            "a query parameter's value that begins with Bearer, Basic, hf_ or sk- looks like an API key,"
            " which would be visible in a ConfigMap. Put the API key into a Secret, and name the Secret in"
            " the field apiKeySecretRef",
            ".query",
        ),
        (
            "!has(self.query) || !self.query.exists(key, key.matches('(?i)"
            "^(key|sig|signature)$|(token|secret|password|api[-_]?key|subscription-key)$'))",
            "a query parameter with a name such as key, token or signature may contain a secret, which would be"
            " visible in a ConfigMap. Put the secret into a Kubernetes Secret, and name the Secret in"
            " the field apiKeySecretRef",
            ".query",
        ),
    )

    api_key_secret_ref: KeyRef | None = Field(None, description="entry of a Secret that contains the target's API key")
    headers: dict[Text, HeaderValue] = Field(
        default_factory=dict,
        max_length=64,
        description="HTTP headers to add to requests to the target. Put API keys into a Secret that the field"
        " `apiKeySecretRef` names, because headers are visible in a ConfigMap",
    )
