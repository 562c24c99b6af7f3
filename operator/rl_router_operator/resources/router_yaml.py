"""Builds the API's configuration file.

The builder copies a field of the spec only if the user has set the field, so that older versions of the API can read
the configuration file.
"""

from __future__ import annotations

from typing import Any

import yaml
from rl_router_api.config import DecisionConfig

from ..objects import naming
from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetSpec
from . import engines, keys
from .objects import without_empty

_CPU_DECISION_SECONDS = 60
"""The default of `spec.routing.timeout` for llama.cpp, in seconds. llama.cpp is slow on a busy CPU."""


def text(router: RouterDeployment) -> str:
    """Returns the text of the file router.yaml, which contains the paths of files with API keys, but no API keys."""
    configuration = {
        "router": _router(router),
        "routing": _routing(router, deciding=False),
        "targets": [_target(target) for target in router.spec.targets],
    }
    sections = {"server": _server(router), **without_empty(configuration)}
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120)


def _router(router: RouterDeployment) -> dict[str, Any]:
    deciding = _routing(router, deciding=True)
    if external := router.spec.model.external:
        fields = external.model_dump(mode="json", exclude_unset=True, exclude={"api_key_secret_ref"})
        key = external.api_key_secret_ref
        return {**fields, **({"api_key_file": keys.path_of(key)} if key else {}), **deciding}
    if engines.name_of(router.spec.model) == "llamacpp":
        # A small model that was not trained to route returns valid decisions only if a schema constrains it.
        deciding = {"protocol": "json_schema", "timeout": _CPU_DECISION_SECONDS, **deciding}
    return {"base_url": model_url(router), **deciding}


def model_url(router: RouterDeployment) -> str:
    """Returns the base URL of the router model that the operator deploys."""
    return f"http://{naming.child(router.name, 'model')}:{naming.MODEL_PORT}/v1"


def _routing(router: RouterDeployment, *, deciding: bool) -> dict[str, Any]:
    """Returns some of the fields that the user has set in `spec.routing`.

    If `deciding` is true, returns the fields that configure calls to the router model. If `deciding` is false, returns
    the other fields.
    """
    routing = router.spec.routing.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in routing.items() if (name in DecisionConfig.model_fields) == deciding}


def _target(target: TargetSpec) -> dict[str, Any]:
    fields = target.model_dump(mode="json", exclude_unset=True, exclude={"api_key_secret_ref"})
    if key := target.api_key_secret_ref:
        fields["api_key_file"] = keys.path_of(key)
    return fields


def _server(router: RouterDeployment) -> dict[str, Any]:
    """Returns the section `server` of the API's configuration file.

    The section contains the field `api_keys_file` even if its value is null, because only an explicit null disables a
    running server's authentication.
    """
    secret = router.spec.api.auth.secret_ref
    keys_file = keys.path(secret.name, keys.API_KEYS) if secret else None
    return {"api_keys_file": keys_file, **router.spec.api.server.model_dump(mode="json", exclude_unset=True)}
