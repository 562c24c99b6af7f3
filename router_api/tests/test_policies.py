"""Policies: the configured policy, policies of other packages, and policies without a router model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rl_router_api import policies
from rl_router_api.config import Configuration

from fakes.ports import closed_url
from fakes.testbed.configuration import router_section, target
from fakes.testbed.policy_package import install_policy
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import text

GUIDE = Path(__file__).parents[2] / "docs" / "policies.md"


def example_code() -> str:
    """Returns the source of the policy in the guide."""
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


async def test_the_guides_policy_works_as_a_separate_package(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_policy(tmp_path, "coin", example_code(), monkeypatch)
    assert policies.names() == ["coin", "fixed", "learned", "rl"]
    alpha, beta = await testbed.upstream(text("a")), await testbed.upstream(text("b"))
    router = await testbed.start_router(
        router={"base_url": closed_url()},
        routing={"policy": "coin"},
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
    )
    metadata = (await router.answer())["router_metadata"]
    assert metadata["routing_strategy"] == "committed"
    assert metadata["model_used"] in ("alpha", "beta")
    assert metadata["router_calls"] == []
    preview = (await router.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("policy", "coin")


async def test_a_request_may_choose_a_policy_of_another_package(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_policy(tmp_path, "coin", example_code(), monkeypatch)
    setup = await testbed.start(None, None, None)
    metadata = (await setup.answer(router={"policy": "coin"}))["router_metadata"]
    assert metadata["router_calls"] == []
    refused = await setup.send(router={"policy": "dice"})
    assert refused.status_code == 400
    assert "Use one of: coin, fixed, learned, rl" in refused.json()["error"]["message"]


@pytest.mark.parametrize("name", ["fixed", "learned", "rl"])
def test_a_package_cannot_replace_a_built_in_policy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_policy(tmp_path, name, "def create(setup):\n    raise AssertionError\n", monkeypatch)
    assert policies.names() == ["fixed", "learned", "rl"]
    configuration = Configuration()

    async def call_router_model(*_: object) -> None:
        raise AssertionError

    policies.create(name, policies.PolicySetup(configuration.router, configuration.routing, call_router_model))  # type: ignore[arg-type]


QUESTION = {"model": "router", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}


async def test_the_fixed_policy_needs_no_router_model(testbed: Testbed) -> None:
    alpha, beta = await testbed.upstream(), await testbed.upstream()
    router = await testbed.start_router(
        router=router_section(closed_url()),
        routing={"policy": "fixed", "fallback": ["beta", "alpha"]},
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
    )
    health = (await router.client.get("/health")).json()
    assert health["status"] == "ok"
    assert health["router_model"] == {"state": "unused"}
    preview = (await router.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("policy", "fixed")
    assert preview["calls"] == [{"target": "beta", "arguments": {}}]
    assert (await router.answer())["router_metadata"]["model_used"] == "beta"
    page = (await router.client.get("/debug/tools")).json()
    assert page["policy"] == "fixed"
    assert [entry["name"] for entry in page["targets"]] == ["alpha", "beta"]


async def test_a_preview_names_the_policy_of_the_router_model(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    preview = (await setup.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("router", "rl")
    down = await testbed.start_router(router=router_section(closed_url()), targets=[
        target("alpha", setup.alpha.url), target("beta", setup.beta.url),
    ])  # fmt: skip
    preview = (await down.client.post("/v1/route", json=QUESTION)).json()
    assert (preview["decided_by"], preview["policy"]) == ("fallback", "rl")
