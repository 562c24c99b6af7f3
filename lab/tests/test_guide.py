"""Every command of the guide `docs/learning.md`, run against scripted targets: both ways end in a promoted policy."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shlex
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import yaml
from rl_router_lab.__main__ import main
from rl_router_lab.calibration.power import USUAL_DEVIATION, provable_gain, serving_gain
from rl_router_policy.guard import MARGIN, level_of, prompts_needed

from fakes.outcomes.files import write_models, write_table
from fakes.outcomes.world import SUBJECTS, world
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import by_request
from fakes.upstreams.bodies import completion
from fakes.upstreams.exchange import Body, Exchange

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "learning.md").read_text()
SECTION = GUIDE.partition("## I have two API keys and 800 prompts\n")[2].partition("\n## ")[0]
REST = GUIDE.partition("\n## I have a table\n")[2]
SUMS, LAWS = {"algebra", "code"}, {"history", "cooking", "law"}


def blocks(language: str) -> list[str]:
    """Returns the examples of the section in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Returns the arguments of each command of the lab in a part of the guide."""
    lines = re.findall(r"^rl-router lab (.*)$", text.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_every_command_of_the_guide_belongs_to_one_of_the_two_ways() -> None:
    assert len(commands(GUIDE)) == len(commands(SECTION)) + len(commands(REST))
    assert GUIDE.count("```bash") == len(re.findall(r"```bash\n(?:rl-router lab|python3 scripts/environment)", GUIDE))


async def test_two_api_keys_and_prompts_lead_to_a_policy_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration = yaml.safe_load(blocks("yaml")[0])
    async with AsyncExitStack() as stack:
        testbed = Testbed(stack, [])
        for target, kinds in zip(configuration["targets"], (SUMS, LAWS), strict=True):
            monkeypatch.setenv(target["api_key_env"], "sk-1234567")
            upstream = await testbed.upstream(by_request(lambda exchange, kinds=kinds: reply(exchange, kinds)))
            target["base_url"] = upstream.url
        (tmp_path / "router.yaml").write_text(yaml.safe_dump(configuration))
        (tmp_path / "prompts.jsonl").write_text(prompts(200))
        calibrate, *others = commands(SECTION)
        for command in ([*calibrate, "--yes"], *others):
            assert await asyncio.to_thread(main, command) == 0, command
        router = await testbed.start_router(**configuration, **yaml.safe_load(blocks("yaml")[1]))
        assert (await router.client.get("/health")).json()["policy"]["guard"]["verdict"] == "proven"
        for prompt, name in (
            ("solve the equation x + y", "gpt-6-luna"),
            ("which king won the war", "claude-sonnet-5-5"),
        ):
            body = await router.answer(messages=[{"role": "user", "content": prompt}])
            assert body["router_metadata"]["model_used"] == name
    page = (tmp_path / "report.html").read_text()
    assert "of the artefact's own training table" in page
    assert "The interval is clear of 0" in page


def prompts(count: int) -> str:
    """Returns prompts in the form of the guide's example."""
    example = json.loads(blocks("json")[0])
    rows = [{**example, "id": prompt.id, "prompt": prompt.text} for prompt in world(count, 5).table.prompts]
    return "".join(json.dumps(row) + "\n" for row in rows)


def reply(exchange: Exchange, kinds: set[str]) -> Body:
    """Returns the answer of a target, which is right for prompts with words of some kinds."""
    words = set(str(exchange.body["messages"][-1]["content"]).split())
    return completion("Paris" if any(words & set(SUBJECTS[kind]) for kind in kinds) else "London")


def test_a_table_leads_to_a_promoted_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_models(tmp_path / "models.json")
    for seed, name in enumerate(("scores.jsonl", "more.jsonl", "new.jsonl"), 1):
        write_table(tmp_path / name, world(400, seed).table)
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    answers = [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "model": model,
            "correct": score,
            "score": score,
            "answer": f"{score}",
        }
        for row in rows
        for model, score in row["scores"].items()
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    with (tmp_path / "answers.csv").open("w", newline="") as out:
        table = csv.DictWriter(out, ["id", "prompt", "model", "correct"], extrasaction="ignore")
        table.writeheader()
        table.writerows(answers)
    for command in commands(REST):
        assert main(command) == 0, command
    assert len([each for each in (tmp_path / "artefacts").iterdir() if each.is_dir()]) == 2
    assert (tmp_path / "my-policy" / "verifier.safetensors").exists()


def test_the_guide_names_the_gains_that_the_command_computes() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) \|$", SECTION, re.MULTILINE)
    assert len(rows) == 5
    for count, gain in rows:
        assert f"{provable_gain(int(count.replace(',', '')), USUAL_DEVIATION):.3f}" == gain


def test_the_guide_says_how_many_prompts_prove_a_gain() -> None:
    rows = re.findall(r"^\| (0\.\d\d) \| ([\d,]+) \| ([\d,]+) \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 5
    for gain, proven, served in rows:
        needed = [prompts_needed(float(gain) + margin, USUAL_DEVIATION, level_of(1)) for margin in (0, MARGIN)]
        assert [f"{number:,}" for number in needed] == [proven, served]


def test_the_guide_says_what_the_margin_buys_and_risks() -> None:
    rows = re.findall(r"^\| (-?[\d.]+) \| ([\d,]+) \| (\d+) \| (\d+) \| (\d+) \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 8
    for gain, prompts, *shares in rows:
        for margin, stated in zip((0, 0.02, 0.05), shares, strict=True):
            share = serving_share(float(gain), int(prompts.replace(",", "")), margin)
            assert 100 * share == pytest.approx(int(stated), abs=1)


def serving_share(gain: float, prompts: int, margin: float) -> float:
    """Returns the share of policies with a true gain that serve, if their differences have a deviation of 0.45."""
    spread = 0.45**2 + gain**2
    chances = [(spread - gain) / 2, 1 - spread, (spread + gain) / 2]
    worse, _, better = np.random.default_rng(0).multinomial(prompts, chances, 100_000).T
    means = (better - worse) / prompts
    errors = np.sqrt(((better + worse) / prompts - means**2) / prompts)
    bounds = means - NormalDist().inv_cdf(1 - level_of(1)) * errors
    return float(np.mean((means > 0) & (bounds > -margin)))


@pytest.mark.parametrize("prompts", [400, 3_200])
def test_the_calibration_names_a_gain_with_which_four_of_five_policies_serve(prompts: int) -> None:
    assert serving_share(serving_gain(prompts, 0.45), prompts, MARGIN) == pytest.approx(0.8, abs=0.02)


def test_every_way_to_grade_is_in_the_guide_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    shown = capsys.readouterr().out
    for name in ("exact", "regex", "schema", "command", "judge"):
        assert f"| `{name}` |" in SECTION
        assert f"\n  {name}" in shown
