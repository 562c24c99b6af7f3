"""A run of `rl-router lab calibrate`: from the files and the budget to the table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rl_router_api.config import Configuration, Target
from rl_router_api.runtime.direct_calls import DirectCalls, direct_calls, priced_configuration

from ..errors import LabError
from .asking import Asking
from .bias import bias_of
from .budget import Budget
from .calibration import Calibration, Work
from .grading import Command, Exact, Grading, Pattern, Schema
from .journal import Journal
from .judge import Judge, JudgeOptions
from .output import write_models, write_table
from .prompts import Question, read_questions


@dataclass(frozen=True)
class Settings:
    """The options of the command."""

    config: str
    prompts: Path
    out: Path
    models: Path | None
    budget: Decimal
    grade: str
    schema: Any
    command: tuple[str, ...]
    command_timeout: float
    judge: str | None
    judge_twice: float
    targets: tuple[str, ...]
    max_output: int
    concurrency: int
    seed: int


async def calibrate(settings: Settings, confirm: Callable[[], None]) -> None:
    """Asks for the missing answers, writes the table, and prints what is missing.

    The function `confirm` is called before money is spent, and raises LabError if the user does not agree. If the run
    is cancelled, the table is written with the answers so far. Raises LabError or ConfigurationError.
    """
    questions, repeated = read_questions(settings.prompts, settings.seed)
    configuration = _configuration(settings)
    work = _work(settings, configuration, questions)
    if repeated:
        _say(f"left out: {repeated:,} rows that repeat the prompt of another row")
    with Journal(settings.out.with_name(f"{settings.out.name}.journal")) as journal:
        async with direct_calls(configuration) as calls:
            asking = Asking(calls, configuration.targets or (), settings.concurrency * len(work.targets))
            grading = _grading(settings, work, asking, calls, journal)
            calibration = Calibration(work, calls, asking, grading, Budget(settings.budget, journal))
            calibration.check()
            _confirm(calibration, settings.budget, confirm)
            try:
                await calibration.run()
            except BaseExceptionGroup as group:
                raise _first_error(group) from None
            finally:
                _write(settings, work, calibration)
        _report(settings, work, calibration, journal)


def _configuration(settings: Settings) -> Configuration:
    judges = (settings.judge,) if settings.judge is not None else ()
    names = (*settings.targets, *judges) if settings.targets else ()
    configuration = priced_configuration(settings.config, names)
    known = [target.name for target in configuration.targets or ()]
    if settings.judge is not None and settings.judge not in known:
        raise LabError(f"--judge {settings.judge}: is no target of {settings.config}. Use one of: {', '.join(known)}")
    return configuration


def _work(settings: Settings, configuration: Configuration, questions: Sequence[Question]) -> Work:
    targets = configuration.targets or ()
    answering = [target for target in targets if not settings.targets or target.name in settings.targets]
    judge = next((target for target in targets if target.name == settings.judge), None)
    if judge in answering:
        _say(
            f"warning: `{settings.judge}` grades its own answers too. To leave them out, name the others with --target"
        )
    return Work(questions, answering, judge, settings.max_output, settings.concurrency)


def _grading(settings: Settings, work: Work, asking: Asking, calls: DirectCalls, journal: Journal) -> Grading:
    match settings.grade:
        case "exact":
            return Exact()
        case "regex":
            return Pattern()
        case "schema":
            return Schema(settings.schema)
        case "command":
            return Command(settings.command, settings.command_timeout, journal)
    if work.judge is None:
        raise ValueError("the grading `judge` needs a judge. Check the settings")
    return Judge(
        JudgeOptions(work.judge, settings.max_output, settings.judge_twice, settings.seed), asking, calls, journal
    )


def _confirm(calibration: Calibration, budget: Decimal, confirm: Callable[[], None]) -> None:
    plan = calibration.plan(budget)
    for line in plan.lines:
        _say(line)
    if plan.worst:
        confirm()


def _write(settings: Settings, work: Work, calibration: Calibration) -> None:
    rows = write_table(settings.out, calibration, work.questions)
    if rows and settings.models is not None:
        write_models(settings.models, work.targets)
    if rows:
        _say(f"{settings.out}: {rows:,} prompts, {len(work.targets)} targets")


def _report(settings: Settings, work: Work, calibration: Calibration, journal: Journal) -> None:
    """Prints what was spent, what is missing and why, and how the judge judges. Raises LabError without any score."""
    _say(f"spent: {journal.spent:f} of {settings.budget:f} USD")
    is_partial = _say_missing(work, calibration)
    if not calibration.is_paid_up:
        _say("the budget ended. To ask for what is missing, raise --budget and run the same command again")
    elif is_partial:
        _say("to ask for what is missing, run the same command again")
    if isinstance(calibration.grading, Command):
        _say_command(calibration.grading)
    if isinstance(calibration.grading, Judge):
        _say_judge(work, calibration, calibration.grading)
    if not any(calibration.scores(question) for question in work.questions):
        raise LabError("no answer was graded, so no table was written. Correct the cause above and run again")


def _say_missing(work: Work, calibration: Calibration) -> bool:
    """Prints what is missing of each target's answers. Returns whether anything is missing."""
    answers = [calibration.answers(question) for question in work.questions]
    scores = [calibration.scores(question) for question in work.questions]
    is_partial = False
    for target in work.targets:
        given = [found[target.name] for found in answers if target.name in found]
        missing, cut = len(answers) - len(given), sum(answer["is_cut"] for answer in given)
        ungraded = len(given) - sum(target.name in found for found in scores)
        is_partial = is_partial or missing + ungraded > 0
        if missing:
            _say(f"{target.name}: {missing:,} answers are missing{_reason(calibration.asking, target)}")
        if ungraded:
            _say(f"{target.name}: {ungraded:,} answers have no score")
        if cut:
            _say(f"{target.name}: {cut:,} answers reached the limit of {work.max_output} tokens. Raise --max-output")
    return is_partial


def _reason(asking: Asking, target: Target) -> str:
    if target.name not in asking.reasons:
        return ""
    stopped = "was given up after repeated failures" if target.name in asking.given_up else "failed"
    count = f"{asking.failures[target.name]:,} prompts"
    return f"; the target {stopped} ({count}; the last reason: {asking.reasons[target.name]})"


def _say_judge(work: Work, calibration: Calibration, judge: Judge) -> None:
    if judge.unreadable:
        _say(f"judge: {judge.unreadable:,} replies had no valid grades")
    if work.judge is not None and work.judge.name in calibration.asking.reasons:
        _say(f"judge: {_reason(calibration.asking, work.judge).removeprefix('; ')}")
    verdicts = [judge.verdicts(question, calibration.texts(question)) for question in work.questions]
    for line in bias_of(verdicts).lines:
        _say(line)


def _say_command(command: Command) -> None:
    if command.timeouts:
        _say(f"command: killed {command.timeouts:,} times after the timeout. These answers have the score 0")
    if command.problems:
        where, reason = next(iter(command.problems.items()))
        _say(f"command: no score for answers to {len(command.problems):,} prompts; the first is {where}: {reason}")


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the first error in a group of errors."""
    first = group.exceptions[0]
    return _first_error(first) if isinstance(first, BaseExceptionGroup) else first


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
