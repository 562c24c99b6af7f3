"""`rl-router lab calibrate` against scripted targets: money, resumption, failures, grades and the judge."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from rl_router_lab.__main__ import main

from fakes.policy.artefacts import write_artefact
from fakes.testbed.waiting import until
from fakes.upstreams.answers import by_request, text, whole
from fakes.upstreams.bodies import completion, usage
from fakes.upstreams.exchange import Answer, Exchange
from fakes.upstreams.faults import cut_after, error, reset
from fakes.upstreams.server import Upstream

LIMIT = 100
"""The output limit of the answers, in tokens."""
PRICE = {"input": 0, "output": 10}
"""The price of every target. An answer of the maximum length costs 0.001 USD, and the prompt costs nothing."""


class Lab:
    """A folder with a configuration and prompts, and the scripted targets of the configuration."""

    def __init__(self, folder: Path, stack: AsyncExitStack, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._stack, self._capsys = folder, stack, capsys
        self.targets: dict[str, Upstream] = {}

    async def start(self, **answers: Answer | None) -> None:
        """Starts a target for each script, and writes the configuration."""
        for name, answer in answers.items():
            self.targets[name] = await self._stack.enter_async_context(Upstream(answer))
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Writes the configuration. The argument `changes` maps the name of a target to changed fields."""
        targets = [
            {"name": name, "base_url": upstream.url, "price": PRICE, **changes.get(name, {})}
            for name, upstream in self.targets.items()
        ]
        (self.folder / "router.yaml").write_text(json.dumps({"targets": targets}))

    def write(self, rows: list[dict[str, Any]]) -> None:
        (self.folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def arguments(self, *options: str, budget: str = "1", grade: str = "exact") -> list[str]:
        paths = self.files(config="router.yaml", prompts="prompts.jsonl", out="table.jsonl")
        return ["calibrate", *paths, "--budget", budget, "--grade", grade, "--max-output", str(LIMIT), *options]

    def files(self, **names: str) -> list[str]:
        """Returns options that name files in the folder."""
        return [f"--{option}={self.folder / name}" for option, name in names.items()]

    async def run(self, *options: str, status: int = 0, yes: bool = True, **changes: str) -> str:
        """Runs the command and returns what it wrote to the standard error."""
        arguments = self.arguments(*options, *(["--yes"] if yes else []), **changes)
        assert await asyncio.to_thread(main, arguments) == status
        return self._capsys.readouterr().err

    async def launch(self, *options: str) -> asyncio.subprocess.Process:
        """Starts the command as a process."""
        command = [sys.executable, "-m", "rl_router_lab", *self.arguments("--yes", *options)]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        self._stack.callback(lambda: process.returncode is None and process.kill())
        return process

    @property
    def table(self) -> dict[str, dict[str, Any]]:
        """The rows of the table by id."""
        rows = map(json.loads, (self.folder / "table.jsonl").read_text().splitlines())
        return {row["id"]: row for row in rows}


@pytest.fixture
async def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(tmp_path, stack, capsys)


def questions(count: int) -> list[dict[str, Any]]:
    """Returns prompts whose right answer is the number of the prompt."""
    return [{"id": f"q{at}", "prompt": f"Say {at}", "expected": at, "task": "echo"} for at in range(count)]


def echo(tokens: int = 5) -> Answer:
    """Returns the script of a target that gives the right answer to each of `questions`."""
    return by_request(lambda exchange: completion(asked(exchange).split()[-1], used=usage(10, tokens)))


def asked(exchange: Exchange) -> str:
    """Returns the last message of a request."""
    return str(exchange.body["messages"][-1]["content"])


def only(prompts: set[str], then: Answer, otherwise: Answer) -> Answer:
    """Returns a script that runs one script for some prompts and another script for all others."""
    return by_request(lambda exchange: then if asked(exchange) in prompts else otherwise)


async def test_the_table_has_scores_lengths_costs_and_answers_of_all_targets(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=text("7", used=usage(10, 50)))
    lab.configure(beta={"price": {**PRICE, "request": "0.001"}})
    lab.write(questions(10))
    said = await lab.run("--models", str(lab.folder / "models.json"))
    assert len(lab.table) == 10
    assert lab.table["q3"] == {
        "id": "q3",
        "prompt": "Say 3",
        "expected": 3,
        "task": "echo",
        "scores": {"alpha": 1.0, "beta": 0.0},
        "output_tokens": {"alpha": 5, "beta": 50},
        "cost": {"alpha": 0.00005, "beta": 0.0015},
        "answers": {"alpha": "3", "beta": "7"},
    }
    assert lab.table["q7"]["scores"] == {"alpha": 1.0, "beta": 1.0}
    assert "spent: 0.0155 of 1 USD" in said
    models = json.loads((lab.folder / "models.json").read_text())["models"]
    assert models["beta"]["price"] == {"input": 0.0, "output": 10.0, "request": 0.001}


async def test_a_promotion_knows_the_models_that_the_targets_serve(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo())
    lab.configure(alpha={"model": "provider/alpha-2026"})
    lab.write(questions(40))
    await lab.run("--models", str(lab.folder / "models.json"))
    write_artefact(lab.folder / "policy", {"alpha": 0.5, "beta": 0.9})
    files = lab.files(artefact="policy", table="table.jsonl", models="models.json", to="to")
    assert main(["promote", *files, "--force"]) == 0
    (guard,) = lab.folder.glob("to/*/guard.json")
    (evidence,) = json.loads(guard.read_text())["evidence"]
    served = {target["name"]: target["model"] for target in evidence["targets"]}
    assert served == {"alpha": "provider/alpha-2026", "beta": "beta"}


async def test_the_cost_and_the_provable_gain_are_said_before_any_call(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo())
    lab.write(questions(800))
    said = await lab.run("--max-output", "1000", yes=False, status=1)
    assert "expected cost: 4.0000 USD (at most 16.0000 USD" in said
    assert "the budget pays for about 200 of 800 prompts, drawn at random" in said
    assert "200 prompts prove a gain of 0.079 in mean utility in 4 of 5 cases" in said
    assert "To spend the money, add --yes" in said
    assert not lab.targets["alpha"].requests


@pytest.mark.parametrize(("reply", "rows"), [("y", 3), ("n", 0)])
async def test_on_a_terminal_the_user_is_asked(lab: Lab, reply: str, rows: int) -> None:
    await lab.start(alpha=echo())
    lab.write(questions(3))
    ours, theirs = os.openpty()
    os.write(ours, f"{reply}\n".encode())
    command = [sys.executable, "-m", "rl_router_lab", *lab.arguments()]
    process = await asyncio.create_subprocess_exec(*command, stdin=theirs, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    os.close(ours)
    os.close(theirs)
    assert "Ask the targets? [y/N]" in errors.decode()
    assert len(lab.targets["alpha"].requests) == rows
    assert process.returncode == (0 if rows else 1)


async def test_no_more_calls_are_in_flight_than_the_options_allow(lab: Lab) -> None:
    busy, most = {"alpha": 0, "beta": 0}, {"alpha": 0, "beta": 0}

    def counted(name: str) -> Answer:
        async def answer(exchange: Exchange) -> None:
            busy[name] += 1
            most[name] = max(busy[name], most[name])
            await asyncio.sleep(0)
            await echo()(exchange)
            busy[name] -= 1

        return answer

    await lab.start(alpha=counted("alpha"), beta=counted("beta"))
    lab.configure(beta={"max_in_flight": 1})
    lab.write(questions(30))
    said = await lab.run("--concurrency", "5")
    assert 1 <= most["alpha"] <= 5
    assert most["beta"] == 1
    assert "missing; the target" not in said


@pytest.mark.parametrize("concurrency", ["1", "7"])
async def test_a_budget_that_ends_in_the_middle_of_a_prompt_is_never_exceeded(lab: Lab, concurrency: str) -> None:
    await lab.start(alpha=echo(LIMIT), beta=echo(LIMIT))
    lab.write(questions(20))
    # Each prompt costs 0.002 USD, so three prompts fit, and the money for one more answer is left.
    said = await lab.run("--concurrency", concurrency, budget="0.0071")
    assert len(lab.table) == 3
    assert [len(upstream.requests) for upstream in lab.targets.values()] == [3, 3]
    assert "spent: 0.006 of 0.0071 USD" in said
    assert "the budget ended" in said


async def test_a_budget_below_the_cost_of_one_prompt_is_said_before_any_call(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo())
    lab.write(questions(2))
    said = await lab.run(budget="0.0019", status=1)
    assert "the answers to one prompt may cost 0.0020 USD, which the budget does not pay for" in said
    assert not lab.targets["alpha"].requests


async def test_a_budget_that_pays_exactly_is_used_up(lab: Lab) -> None:
    await lab.start(alpha=echo(LIMIT))
    lab.write(questions(20))
    assert "spent: 0.004 of 0.004 USD" in await lab.run(budget="0.004")
    assert len(lab.table) == 4


async def test_money_that_cheap_answers_leave_pays_for_more_prompts(lab: Lab) -> None:
    await lab.start(alpha=echo(10))
    lab.write(questions(20))
    # The worst case of two prompts, but each answer costs a tenth of its worst case.
    await lab.run(budget="0.0028")
    assert len(lab.table) == 19


async def test_no_answer_is_shortened_because_the_budget_is_nearly_spent(lab: Lab) -> None:
    await lab.start(alpha=echo(LIMIT))
    lab.write(questions(5))
    await lab.run(budget="0.0039")
    assert {body["max_tokens"] for body in lab.targets["alpha"].bodies} == {LIMIT}
    assert len(lab.table) == 3


async def test_an_answer_of_unknown_cost_counts_as_its_worst_case(lab: Lab) -> None:
    cut = cut_after([b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'], Exchange.end)
    await lab.start(alpha=only({"Say 1"}, cut, echo(LIMIT)))
    lab.write(questions(4))
    said = await lab.run("--concurrency", "1", budget="0.004")
    assert "spent: 0.004 of 0.004 USD" in said
    assert "q1" not in lab.table


async def test_a_target_that_bills_more_than_the_limit_allows_ends_the_run(lab: Lab) -> None:
    await lab.start(alpha=echo(10 * LIMIT), beta=echo(LIMIT))
    lab.write(questions(5))
    # The answer of `alpha` costs 0.01 USD although its limit pays for 0.001 USD, while the call to `beta` is in flight.
    said = await lab.run("--concurrency", "1", budget="0.005")
    assert [len(upstream.requests) for upstream in lab.targets.values()] == [1, 1]
    assert "spent: 0.011 of 0.005 USD" in said
    assert "the budget ended" in said
    assert len(lab.table) == 1


async def test_the_same_command_asks_only_for_missing_answers(lab: Lab) -> None:
    await lab.start(alpha=echo(LIMIT), beta=echo(LIMIT))
    lab.write(questions(10))
    await lab.run(budget="0.008")
    assert "raise --budget and run the same command again" in await lab.run(budget="0.008")
    assert len(lab.targets["alpha"].requests) == len(lab.table) == 4
    said = await lab.run(budget="0.02")
    assert len(lab.targets["alpha"].requests) == len(lab.targets["beta"].requests) == 10
    assert len(lab.table) == 10
    assert "spent: 0.02 of 0.02 USD" in said
    assert "missing answers: 0" in await lab.run(budget="0.02", yes=False)


async def test_a_crash_loses_at_most_the_calls_in_flight(lab: Lab) -> None:
    await lab.start(alpha=only({"Say 5"}, Exchange.until_dropped, echo(LIMIT)))
    lab.write(questions(8))
    process = await lab.launch("--concurrency", "1")
    requests = lab.targets["alpha"].requests
    await until(lambda: requests and asked(requests[-1]) == "Say 5", "the call that hangs")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    answered = len(requests) - 1
    with (lab.folder / "table.jsonl.journal").open("a") as journal:
        journal.write('{"key": "torn')
    lab.targets["alpha"].answer = echo(LIMIT)
    said = await lab.run()
    assert len(lab.table) == 8
    assert len(requests) == answered + 1 + (8 - answered)
    # The call that was in flight counts with its worst case.
    assert "spent: 0.009 of 1 USD" in said


async def test_ctrl_c_writes_the_table_with_the_answers_so_far(lab: Lab) -> None:
    await lab.start(alpha=only({"Say 5"}, Exchange.until_dropped, echo()))
    lab.write(questions(8))
    process = await lab.launch("--concurrency", "2")
    requests = lab.targets["alpha"].requests
    await until(lambda: len(requests) == 8, "all calls")
    await until(lambda: '"text"' in _last(lab.folder / "table.jsonl.journal"), "the last answer")
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 130
    assert "To resume, run the same command again" in errors.decode()
    assert "Traceback" not in errors.decode()
    assert len(lab.table) == 7


def _last(file: Path) -> str:
    lines = file.read_text().splitlines()
    return lines[-1] if sum('"text"' in line for line in lines) == 7 else ""


async def test_two_runs_cannot_spend_the_same_budget_at_once(lab: Lab) -> None:
    await lab.start(alpha=Exchange.until_dropped)
    lab.write(questions(8))
    process = await lab.launch()
    await until(lambda: lab.targets["alpha"].requests, "the first call")
    assert "another calibration writes this file" in await lab.run(status=1)
    process.kill()
    await process.wait()


async def test_a_target_that_dies_leaves_its_answers_missing_and_the_others_go_on(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo())
    beta, healthy = lab.targets["beta"], echo()

    async def dies(exchange: Exchange) -> None:
        await (healthy if len(beta.requests) <= 30 else error(500, "broken"))(exchange)

    beta.answer = dies
    lab.write(questions(60))
    said = await lab.run("--concurrency", "2")
    assert sum("beta" in row["scores"] for row in lab.table.values()) == 30
    assert sum("alpha" in row["scores"] for row in lab.table.values()) == 60
    assert "beta: 30 answers are missing; the target was given up after repeated failures" in said
    assert len(beta.requests) < 50
    beta.answer = healthy
    await lab.run()
    assert sum("beta" in row["scores"] for row in lab.table.values()) == 60
    assert len(lab.targets["alpha"].requests) == 60


async def test_a_table_in_which_a_target_died_proves_nothing_until_it_is_complete(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    await lab.start(alpha=text("7"), beta=echo())
    beta = lab.targets["beta"]

    async def dies(exchange: Exchange) -> None:
        await (echo() if len(beta.requests) <= 300 else reset)(exchange)

    beta.answer = dies
    lab.write(questions(400))
    models = str(lab.folder / "models.json")
    assert "beta: 100 answers are missing; the target was given up" in await lab.run("--models", models)
    write_artefact(lab.folder / "policy", {"alpha": 0.5, "beta": 0.9})
    promote = ["promote", *lab.files(artefact="policy", table="table.jsonl", models="models.json", to="to")]
    assert main(promote) == 1
    assert "25% of the prompts lack an outcome of a model. `beta` lacks most, 100 of 400" in capsys.readouterr().err
    beta.answer = echo()
    await lab.run("--models", models)
    assert main(promote) == 3
    assert "unproven (400 prompts, test 1 of these prompts" in capsys.readouterr().out


async def test_a_prompt_that_a_target_rejects_is_only_missing(lab: Lab) -> None:
    await lab.start(alpha=by_request(lambda exchange: error(400, "no such prompt")), beta=echo())
    lab.write(questions(10))
    said = await lab.run()
    assert "alpha: 10 answers are missing; the target failed (10 prompts; the last reason: " in said
    assert all(row["scores"] == {"beta": 1.0} for row in lab.table.values())


async def test_a_rate_limited_target_is_asked_again(lab: Lab) -> None:
    left = [3]

    def limited(exchange: Exchange) -> Answer:
        left[0] -= 1
        return error(429, "slow down", retry_after="0.05") if left[0] >= 0 else echo()

    await lab.start(alpha=by_request(limited))
    lab.write(questions(3))
    await lab.run("--concurrency", "1")
    assert len(lab.table) == 3


async def test_a_prompt_under_two_ids_is_asked_once(lab: Lab) -> None:
    await lab.start(alpha=echo())
    lab.write([*questions(5), {"id": "copy", "prompt": "say  3", "expected": 3}])
    said = await lab.run()
    assert "left out: 1 rows that repeat the prompt of another row" in said
    assert len(lab.targets["alpha"].requests) == len(lab.table) == 5


async def test_a_renamed_target_and_another_served_model_are_asked_anew(lab: Lab) -> None:
    await lab.start(alpha=echo())
    lab.write(questions(3))
    await lab.run()
    lab.configure(alpha={"model": "alpha-2"})
    await lab.run()
    assert [body["model"] for body in lab.targets["alpha"].bodies] == ["alpha"] * 3 + ["alpha-2"] * 3
    lab.configure(alpha={"name": "gamma", "model": "alpha-2"})
    await lab.run()
    assert len(lab.targets["alpha"].requests) == 9
    assert lab.table["q1"]["scores"] == {"gamma": 1.0}


async def test_answers_that_reach_the_output_limit_are_counted(lab: Lab) -> None:
    body = completion("3", used=usage(10, LIMIT))
    body["choices"][0]["finish_reason"] = "length"
    await lab.start(alpha=whole(body))
    lab.write(questions(4))
    assert f"alpha: 4 answers reached the limit of {LIMIT} tokens" in await lab.run()


async def test_only_the_named_targets_are_asked(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo())
    lab.write(questions(4))
    await lab.run("--target", "beta")
    assert lab.table["q1"]["scores"] == {"beta": 1.0}
    assert not lab.targets["alpha"].requests


@pytest.mark.parametrize(
    ("grade", "expected", "answer", "score"),
    [
        ("exact", "New York", "new  york\n", 1.0),
        ("exact", ["4", "four"], "Four", 1.0),
        ("exact", "4", "It is 4.", 0.0),
        ("regex", r"\b4\b", "It is 4.", 1.0),
        ("regex", r"^4$", "It is 4.", 0.0),
        ("schema", {"type": "object", "required": ["a"]}, '{"a": 1}', 1.0),
        ("schema", {"type": "object", "required": ["a"]}, '{"b": 1}', 0.0),
        ("schema", {"type": "object"}, "no JSON", 0.0),
    ],
)
async def test_an_answer_is_graded(lab: Lab, grade: str, expected: Any, answer: str, score: float) -> None:
    await lab.start(alpha=text(answer))
    lab.write([{"id": "1", "prompt": "How much is 2 + 2?", "expected": expected}])
    await lab.run(grade=grade)
    assert lab.table["1"]["scores"] == {"alpha": score}


async def test_one_schema_can_grade_all_answers(lab: Lab) -> None:
    (lab.folder / "schema.json").write_text('{"type": "array"}')
    await lab.start(alpha=text("[1]"), beta=text("{}"))
    lab.write([{"id": "1", "prompt": "Write a list"}])
    await lab.run("--schema", str(lab.folder / "schema.json"), grade="schema")
    assert lab.table["1"]["scores"] == {"alpha": 1.0, "beta": 0.0}


@pytest.mark.parametrize(
    ("code", "score"),
    [
        ("import sys; print('checked'); print(len(sys.stdin.read()) / 10)", 0.5),
        ("import sys; sys.exit('Four.' != sys.stdin.read())", 1.0),
        ("import sys; sys.exit(1)", 0.0),
        ("import json, os; print(json.load(open(os.environ['RL_ROUTER_ROW']))['weight'])", 0.25),
        ("import time; time.sleep(60)", 0.0),
    ],
)
async def test_a_command_grades_by_its_output_or_its_exit_status(lab: Lab, code: str, score: float) -> None:
    (lab.folder / "grade.py").write_text(code)
    await lab.start(alpha=text("Four."))
    lab.write([{"id": "1", "prompt": "How much is 2 + 2?", "weight": 0.25}])
    command = f"{sys.executable} {lab.folder / 'grade.py'}"
    said = await lab.run("--command", command, "--command-timeout", "5", grade="command")
    assert lab.table["1"]["scores"] == {"alpha": score}
    assert ("killed 1 times after the timeout" in said) == ("sleep" in code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print(2)", "the last line of the output is '2', not a number from 0 to 1"),
        ("import sys; sys.exit(3)", "the exit status is 3, not 0 or 1"),
    ],
)
async def test_a_command_without_a_valid_score_leaves_the_answer_without_a_score(
    lab: Lab, code: str, words: str
) -> None:
    (lab.folder / "grade.py").write_text(
        f"import sys\nif 'Four' in sys.stdin.read():\n    {code}\nelse:\n    print(1)\n"
    )
    await lab.start(alpha=text("Four."), beta=text("4"))
    lab.write([{"id": "1", "prompt": "How much is 2 + 2?"}])
    said = await lab.run("--command", f"{sys.executable} {lab.folder / 'grade.py'}", grade="command")
    assert lab.table["1"]["scores"] == {"beta": 1.0}
    assert words in said
    assert "alpha: 1 answers have no score" in said


def judging(grade: Callable[[str, str], float]) -> Answer:
    """Returns the script of a judge. The function `grade` gets the letter and the text of an answer."""

    def verdict(exchange: Exchange) -> dict[str, Any]:
        answers = json.loads(asked(exchange))["answers"]
        grades = {letter: grade(letter, answer) for letter, answer in answers.items()}
        return completion(f"My grades: {json.dumps(grades)}", used=usage(100, 10))

    return by_request(verdict)


JUDGED = ("--judge", "judge", "--target", "alpha", "--target", "beta")


async def test_a_judge_grades_blind_and_in_random_order_within_the_same_budget(lab: Lab) -> None:
    await lab.start(
        alpha=echo(), beta=text("I do not know."), judge=judging(lambda _, answer: 9 if answer.isdigit() else 1)
    )
    lab.write(questions(40))
    said = await lab.run(*JUDGED, "--judge-twice", "0", grade="judge")
    assert "judge: no prompt was graded in both orders" in said
    assert all(row["scores"] == {"alpha": 0.9, "beta": 0.1} for row in lab.table.values())
    bodies = lab.targets["judge"].bodies
    assert len(bodies) == 40
    assert not any(name in json.dumps(body["messages"]) for body in bodies for name in ("alpha", "beta"))
    firsts = sum(json.loads(body["messages"][-1]["content"])["answers"]["A"].isdigit() for body in bodies)
    assert 10 < firsts < 30
    # An answer and a verdict: 40 x (5 + 5 + 10) output tokens.
    assert "spent: 0.008 of 1 USD" in said
    await lab.run(*JUDGED, "--judge-twice", "0", grade="judge", yes=False)
    assert len(lab.targets["judge"].requests) == 40


async def test_the_verdicts_are_paid_from_the_budget(lab: Lab) -> None:
    await lab.start(alpha=echo(LIMIT), beta=echo(LIMIT), judge=judging(lambda *_: 5))
    lab.write(questions(20))
    await lab.run(*JUDGED, "--judge-twice", "0", budget="0.0095", grade="judge")
    assert len(lab.table) == len(lab.targets["judge"].requests) == len(lab.targets["alpha"].requests)
    assert 3 <= len(lab.table) <= 4


async def test_a_judge_that_likes_the_first_place_is_visible(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo(), judge=judging(lambda letter, _: 9 if letter == "A" else 5))
    lab.write(questions(40))
    said = await lab.run(*JUDGED, "--judge-twice", "0.5", grade="judge")
    assert "judge, same comparison in the opposite order: 0% of" in said
    assert "pairs (warning: the order decides)" in said
    assert "first place above the last: +0.400 ± 0.000 (warning: the judge prefers the first place)" in said


async def test_a_judge_that_likes_long_answers_is_visible(lab: Lab) -> None:
    await lab.start(
        alpha=text("Four."),
        beta=text("It is four, of course. " * 9),
        judge=judging(lambda _, answer: min(10, len(answer) / 20)),
    )
    lab.write(questions(20))
    said = await lab.run(*JUDGED, grade="judge")
    assert "judge, correlation of score and length: +1.00 (warning: the judge may prefer long answers)" in said
    assert "the order decides" not in said


async def test_a_reply_of_the_judge_without_grades_is_asked_for_again(lab: Lab) -> None:
    await lab.start(alpha=echo(), beta=echo(), judge=text("All answers are wonderful."))
    lab.write(questions(3))
    said = await lab.run(*JUDGED, "--judge-twice", "0", grade="judge", status=1)
    assert "judge: 3 replies had no valid grades" in said
    assert "no answer was graded" in said
    lab.targets["judge"].answer = judging(lambda *_: 10)
    await lab.run(*JUDGED, "--judge-twice", "0", grade="judge")
    assert lab.table["q1"]["scores"] == {"alpha": 1.0, "beta": 1.0}
    assert len(lab.targets["alpha"].requests) == 3


async def test_a_judge_that_also_answers_is_warned_about(lab: Lab) -> None:
    await lab.start(alpha=echo(), judge=judging(lambda *_: 5))
    lab.write(questions(1))
    lab.targets["alpha"].answer = echo()
    said = await lab.run("--judge", "alpha", grade="judge", status=1)
    assert "`alpha` grades its own answers too" in said


@pytest.mark.parametrize(
    ("row", "grade", "words"),
    [
        ({"prompt": "x", "expected": "x"}, "exact", "row 1: `id` is None. Give each row a text `id`"),
        ({"id": "1", "expected": "x"}, "exact", "row 1: has neither a text `prompt` nor a list `messages`"),
        ({"id": "1", "prompt": "x"}, "exact", "row 1: `expected` is None. Add the right answer"),
        ({"id": "1", "prompt": "x", "expected": "("}, "regex", "row 1: `expected` is no regular expression"),
        ({"id": "1", "prompt": "x", "expected": {"type": 3}}, "schema", "row 1: `expected` is no JSON schema"),
        ({"id": "1", "prompt": "x"}, "schema", "row 1: `expected` is None. Add a JSON schema"),
        ({"id": "1", "prompt": "x"}, "command", "--grade command: needs --command"),
        ({"id": "1", "prompt": "x"}, "judge", "--grade judge: needs --judge"),
        ({"id": "1", "messages": [{"content": "x"}], "expected": "x"}, "exact", "row 1: no message has the role"),
        ({"id": "1", "messages": [{"role": "user", "content": 1}], "expected": "x"}, "exact", "row 1: `messages"),
        ({"id": "1", "prompt": "x", "expected": "x", "max_tokens": 0}, "exact", "row 1: `max_tokens` is 0"),
    ],
)
async def test_the_error_about_a_wrong_row_is_one_line(lab: Lab, row: dict[str, Any], grade: str, words: str) -> None:
    await lab.start(alpha=echo())
    lab.write([row])
    said = await lab.run(grade=grade, status=1)
    assert words in said
    assert said.count("\n") == 1
    assert not lab.targets["alpha"].requests
    assert not (lab.folder / "table.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"price": None}, (), "router.yaml: targets: the price of `alpha` is unknown"),
        ({"api_key_env": "NO_SUCH_KEY"}, (), "targets: `alpha` has no API key: NO_SUCH_KEY is not set"),
        ({}, ("--target", "omega"), 'unknown target "omega": targets are alpha. Fix the name'),
        ({}, ("--config", "/nowhere.yaml"), "/nowhere.yaml: the file cannot be read"),
        ({}, ("--prompts", "/nowhere.jsonl"), "/nowhere.jsonl: cannot be read"),
        ({}, ("--schema", "/nowhere.json"), "--schema /nowhere.json: cannot be read"),
        ({}, ("--command", "no-such-program x"), "the program no-such-program does not exist"),
        ({}, ("--command", "'"), "--command ': cannot be split into words"),
        ({}, ("--out", "/nowhere/table.jsonl"), "/nowhere/table.jsonl.journal: No such file or directory"),
    ],
)
async def test_the_error_about_the_configuration_is_one_line(
    lab: Lab, changes: dict[str, Any], options: tuple[str, ...], words: str
) -> None:
    await lab.start(alpha=echo())
    lab.configure(alpha=changes)
    lab.write(questions(1))
    said = await lab.run(*options, status=1)
    assert words in said
    assert said.count("\n") == 1
