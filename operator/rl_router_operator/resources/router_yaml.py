"""The API's configuration file: only what the spec sets, so that an older API can read it."""

from __future__ import annotations

from typing import Any

import yaml
from rl_router_api.config import Deciding

from ..objects import naming
from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetSpec
from . import engines, keys
from .objects import without_empty

_CPU_DECISION_SECONDS = 60


def text(router: RouterDeployment) -> str:
    """router.yaml; no secret is in it, only where each is found."""
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
        set_there = external.model_dump(mode="json", exclude_unset=True, exclude={"api_key_secret_ref"})
        key = external.api_key_secret_ref
        return {**set_there, **({"api_key_file": keys.path_of(key)} if key else {}), **deciding}
    if engines.name_of(router.spec.model) == "llamacpp":
        # Small models that were not trained to route decide readably under a schema alone, and slowly on a busy CPU.
        deciding = {"protocol": "json_schema", "timeout": _CPU_DECISION_SECONDS, **deciding}
    return {"base_url": model_url(router), **deciding}


def model_url(router: RouterDeployment) -> str:
    """Where the hosted router model answers."""
    return f"http://{naming.child(router.name, 'model')}:{naming.MODEL_PORT}/v1"


def _routing(router: RouterDeployment, *, deciding: bool) -> dict[str, Any]:
    """What is set of how the router model is asked, or of all else in `routing`."""
    routing = router.spec.routing.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in routing.items() if (name in Deciding.model_fields) == deciding}


def _target(target: TargetSpec) -> dict[str, Any]:
    fields = target.model_dump(mode="json", exclude_unset=True, exclude={"api_key_secret_ref"})
    if key := target.api_key_secret_ref:
        fields["api_key_file"] = keys.path_of(key)
    return fields


def _server(router: RouterDeployment) -> dict[str, Any]:
    """A server that runs is opened by `null` alone, so that is written if no keys are configured."""
    secret = router.spec.api.auth.secret_ref
    keys_file = keys.path(secret.name, keys.API_KEYS) if secret else None
    return {"api_keys_file": keys_file, **router.spec.api.server.model_dump(mode="json", exclude_unset=True)}
