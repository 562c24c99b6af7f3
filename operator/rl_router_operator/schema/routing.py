"""Routing and targets: the router API's own schema, with Secrets in place of variables and files."""

from __future__ import annotations

from pydantic import Field
from rl_router_api.config import Answering, Deciding, Routing

from .base import KeyRef, rules


class RoutingSpec(Routing, Deciding):
    """How requests are routed and how the router model is asked."""


class TargetSpec(Answering):
    """A model that answers."""

    model_config = rules(
        (
            "!self.name.startsWith('router')",
            "names that begin with `router` are the router's own; choose another",
            ".name",
        ),
        (
            "self.baseUrl.matches('^https?://[^/?#@]+(/[^?#]*)?$')",
            "must be an http:// or https:// URL without user info, query or fragment; keys go into apiKeySecretRef,"
            " parameters into query",
            ".baseUrl",
        ),
    )

    api_key_secret_ref: KeyRef | None = Field(None, description="the Secret's key that holds its API key")
