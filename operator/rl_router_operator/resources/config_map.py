"""Builds the ConfigMap with the API's configuration and the ConfigMap with the router model's chat template.

The ConfigMaps of a router contain no secrets.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from . import engines, router_yaml
from .defaults import Defaults
from .objects import child

ROUTER_YAML = "router.yaml"


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the ConfigMap of the API.

    Also yields the ConfigMap of the model if the operator hosts the router model and the spec contains the text of a
    chat template.
    """
    template = router.spec.model.chat_template
    if template and template.text and not router.spec.model.external:
        file = engines.CHAT_TEMPLATE.rpartition("/")[2]
        yield child(router, "ConfigMap", "model", data={file: template.text})
    yield child(router, "ConfigMap", "api", data={ROUTER_YAML: router_yaml.text(router)})
