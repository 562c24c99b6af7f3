"""The policy that decides if no policy is configured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rl_router_api.config import Configuration
from rl_router_api.runtime.default_policy import RouterModelSearch
from rl_router_api.upstreams.fleet import Fleet, fleet_of
from rl_router_api.upstreams.transport import HttpTransport
from rl_router_api.upstreams.upstream import Upstream

from fakes.policy.artefacts import write_artefact
from fakes.ports import closed_url
from fakes.testbed.router import Testbed

TARGET = {"name": "alpha", "base_url": "http://127.0.0.1:1/v1"}


@pytest.fixture
def artefacts(tmp_path: Path) -> str:
    return str(write_artefact(tmp_path / "artefacts", {"alpha": 0.5}))


def fleet(url: str, artefacts: str, **sections: Any) -> Fleet:
    """Returns the upstreams of a configuration, with a router model at the address `url` instead of port 8000."""
    routing = {"artefacts": artefacts, **sections.pop("routing", {})}
    configuration = Configuration.model_validate({"routing": routing, "targets": [TARGET], **sections})
    upstreams = fleet_of(configuration, configuration.targets or (), HttpTransport())
    router_model = Upstream("router model", url, 1.0, configuration.router)
    return replace(upstreams, router_model=router_model)


async def policy_after_a_search(upstreams: Fleet) -> str:
    search = RouterModelSearch()
    await search.run(upstreams)
    await upstreams.transport.close()
    return search.policy_of(upstreams.configuration)


async def test_without_a_router_model_the_policy_is_learned(artefacts: str) -> None:
    assert await policy_after_a_search(fleet(closed_url(), artefacts)) == "learned"


async def test_with_a_router_model_on_the_default_port_the_policy_is_rl(testbed: Testbed, artefacts: str) -> None:
    model = await testbed.upstream()
    assert await policy_after_a_search(fleet(model.url, artefacts)) == "rl"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"routing": {"policy": "fixed"}}, "fixed"),
        ({"routing": {"policy": "rl"}}, "rl"),
        ({"router": {"base_url": "http://127.0.0.1:1/v1"}}, "rl"),
        ({"router": {"model": "the-router"}}, "rl"),
        ({"router": {}}, "learned"),
        ({"targets": None}, "rl"),
        ({"routing": {"artefacts": "/nowhere"}}, "rl"),
    ],
)
async def test_a_configured_policy_or_router_model_is_used(
    sections: dict[str, Any], expected: str, artefacts: str
) -> None:
    assert await policy_after_a_search(fleet(closed_url(), artefacts, **sections)) == expected
