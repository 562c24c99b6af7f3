"""Discovers targets if the field `targets` is not configured.

Every model that the router model's server lists becomes a target, unless the function `targets_of` skips the model.
"""

from __future__ import annotations

import logging

from ..accounting.log import log
from ..config import Configuration, Price, Target, check_names
from ..errors import ListingError
from ..upstreams.fleet import Fleet
from ..upstreams.listing import Listed, list_models


async def listed_targets(fleet: Fleet) -> tuple[Target, ...]:
    """Returns the models that the router model's server lists and the function `targets_of` does not skip, as targets.

    Returns an empty tuple if the list of models is empty or cannot be read.
    """
    try:
        listed = await list_models(fleet.router_model, fleet.transport)
    except ListingError as error:
        log(logging.DEBUG, f"cannot read the list of models of the router model's server, retrying in 1 s: {error}")
        return ()
    return targets_of(listed, fleet.configuration)


def targets_of(listed: list[Listed], configuration: Configuration) -> tuple[Target, ...]:
    """Returns a target with price 0 for each listed model, except the skipped models.

    Skips models with an invalid or reserved name or an invalid context length, and models whose names conflict with an
    alias or an earlier model of the list.
    """
    router = configuration.router
    routing = configuration.routing.model_copy(update={"fallback": ()})
    targets: list[Target] = []
    for model in listed:
        try:
            target = Target(
                name=model.id, base_url=router.base_url, price=Price(), context_length=model.max_model_len,
                api_key_env=router.api_key_env, api_key_file=router.api_key_file,
            )  # fmt: skip
            check_names((*targets, target), routing)
        except ValueError:
            continue
        targets.append(target)
    return tuple(targets)


def kept_targets(fleet: Fleet, configuration: Configuration) -> tuple[Target, ...]:
    """Returns the targets of the fleet `fleet` if these targets were discovered.

    Returns an empty tuple if the fleet's targets were configured, or if the section `router` of `configuration` differs
    from the section `router` of the fleet's configuration.
    """
    before = fleet.configuration
    same = before.targets is None and configuration.router == before.router
    return tuple(target for target, _ in fleet.targets) if same else ()
