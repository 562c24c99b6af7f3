"""The section of the guide `docs/learning.md` from API keys and prompts to a table, run against scripted targets."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_router_lab.__main__ import main
from rl_router_lab.calibration.power import USUAL_DEVIATION, provable_gain

from fakes.outcomes.world import world
from fakes.upstreams.answers import by_request
from fakes.upstreams.bodies import completion
from fakes.upstreams.exchange import Exchange
from fakes.upstreams.server import Upstream

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "learning.md").read_text()
SECTION = GUIDE.partition("## I have two API keys and 800 prompts\n")[2].partition("\n## ")[0]


def block(language: str) -> str:
    """Returns the first example of the section in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)[0]


def commands() -> list[list[str]]:
    """Returns the arguments of each command of the lab in the section."""
    lines = re.findall(r"^rl-router lab (.*)$", SECTION, re.MULTILINE)
    return [shlex.split(line) for line in lines]


async def test_the_commands_of_the_guide_lead_from_prompts_to_a_trained_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration = yaml.safe_load(block("yaml"))
    async with AsyncExitStack() as stack:
        for at, target in enumerate(configuration["targets"]):
            monkeypatch.setenv(target["api_key_env"], "sk-1234567")
            upstream = await stack.enter_async_context(
                Upstream(by_request(lambda exchange, at=at: reply(exchange, at)))
            )
            target["base_url"] = upstream.url
        write(tmp_path, yaml.safe_dump(configuration), prompts(120))
        calibrate, train = commands()
        assert await asyncio.to_thread(main, [*calibrate, "--yes"]) == 0
    rows = read(tmp_path / "table.jsonl")
    names = {target["name"] for target in configuration["targets"]}
    assert len(rows) == 120
    assert all(set(row["scores"]) == set(row["cost"]) == names for row in rows)
    assert main(train) == 0
    assert set(manifest(tmp_path)["targets"][0]) >= {"name"}


def write(folder: Path, configuration: str, rows: str) -> None:
    (folder / "router.yaml").write_text(configuration)
    (folder / "prompts.jsonl").write_text(rows)


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "my-policy" / "manifest.json").read_text()))


def read(table: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in table.read_text().splitlines()]


def prompts(count: int) -> str:
    """Returns prompts in the form of the guide's example."""
    example = json.loads(block("json"))
    rows = [{**example, "id": prompt.id, "prompt": prompt.text} for prompt in world(count, 5).table.prompts]
    return "".join(json.dumps(row) + "\n" for row in rows)


def reply(exchange: Exchange, at: int) -> dict[str, object]:
    """Returns the answer of a target, which is right for every second or third length of a prompt."""
    size = len(exchange.body["messages"][-1]["content"])
    return completion("Paris" if size % (at + 2) else "London")


def test_the_guide_names_the_gains_that_the_command_computes() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) \|$", SECTION, re.MULTILINE)
    assert len(rows) == 5
    for count, gain in rows:
        assert f"{provable_gain(int(count.replace(',', '')), USUAL_DEVIATION):.3f}" == gain


def test_every_way_to_grade_is_in_the_guide_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    shown = capsys.readouterr().out
    for name in ("exact", "regex", "schema", "command", "judge"):
        assert f"| `{name}` |" in SECTION
        assert f"\n  {name}" in shown
