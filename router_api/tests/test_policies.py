"""Policies: one of them decides, and nothing outside them knows which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packages import install_policy
from rl_router_api import policies
from rl_router_api.config import Configuration
from stages import Stage, router_section, target
from upstreams import closed_port, text

GUIDE = Path(__file__).parents[2] / "docs" / "policies.md"


def examples_code() -> str:
    """The policy that the guide shows."""
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


async def test_the_guides_policy_routes_from_a_package_of_its_own(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_policy(tmp_path, "coin", examples_code(), monkeypatch)
    assert policies.names() == ["coin", "fixed", "rl"]
    alpha, beta = await stage.upstream(text("a")), await stage.upstream(text("b"))
    served = await stage.serve(
        router={"base_url": closed_port()},
        routing={"policy": "coin"},
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
    )
    metadata = (await served.answer())["router_metadata"]
    assert metadata["routing_strategy"] == "committed"
    assert metadata["model_used"] in ("alpha", "beta")
    assert metadata["router_calls"] == []
    preview = (await served.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("policy", "coin")


async def test_a_request_may_choose_a_policy_of_another_package(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_policy(tmp_path, "coin", examples_code(), monkeypatch)
    cast = await stage.routed(None, None, None)
    metadata = (await cast.answer(router={"policy": "coin"}))["router_metadata"]
    assert metadata["router_calls"] == []
    refused = await cast.ask(router={"policy": "dice"})
    assert refused.status_code == 400
    assert "Use one of: coin, fixed, rl" in refused.json()["error"]["message"]


@pytest.mark.parametrize("name", ["fixed", "rl"])
def test_no_package_takes_the_place_of_a_policy_of_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_policy(tmp_path, name, "def create(setup):\n    raise AssertionError\n", monkeypatch)
    assert policies.names() == ["fixed", "rl"]
    configuration = Configuration()

    async def ask(*_: object) -> None:
        raise AssertionError

    policies.create(name, policies.PolicySetup(configuration.router, configuration.routing, ask))  # type: ignore[arg-type]


QUESTION = {"model": "router", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}


async def test_a_fixed_policy_needs_no_router_model(stage: Stage) -> None:
    alpha, beta = await stage.upstream(), await stage.upstream()
    served = await stage.serve(
        router=router_section(closed_port()),
        routing={"policy": "fixed", "fallback": ["beta", "alpha"]},
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
    )
    health = (await served.client.get("/health")).json()
    assert health["status"] == "ok"
    assert health["router_model"] == {"state": "unused"}
    preview = (await served.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("policy", "fixed")
    assert preview["calls"] == [{"target": "beta", "arguments": {}}]
    assert (await served.answer())["router_metadata"]["model_used"] == "beta"
    page = (await served.client.get("/debug/tools")).json()
    assert page["policy"] == "fixed"
    assert [shown["name"] for shown in page["targets"]] == ["alpha", "beta"]


async def test_a_preview_names_the_router_model_s_policy(stage: Stage) -> None:
    cast = await stage.routed(None, None, None)
    preview = (await cast.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("router", "rl")
    down = await stage.serve(router=router_section(closed_port()), targets=[
        target("alpha", cast.alpha.url), target("beta", cast.beta.url),
    ])  # fmt: skip
    preview = (await down.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("fallback", "rl")
