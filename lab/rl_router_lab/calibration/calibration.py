"""Asks all targets all prompts, and grades the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rl_router_api.accounting.money import NOTHING, total
from rl_router_api.config import Target
from rl_router_api.errors import ApiError
from rl_router_api.runtime.direct_calls import DirectAnswer, DirectCalls

from ..errors import LabError
from .asking import Asking
from .budget import Allotment, Budget
from .grading import Grading
from .journal import key_of
from .judge import Judge
from .plan import Plan, expected_cost, usual_tokens
from .power import deviation_of
from .progress import Progress
from .prompts import Question


@dataclass(frozen=True)
class Work:
    """What a calibration asks: the prompts, the targets that answer, the judge if any, and the limits."""

    questions: Sequence[Question]
    targets: Sequence[Target]
    judge: Target | None
    max_output: int
    concurrency: int


class Calibration:
    """Asks and grades. The attribute `is_paid_up` is false after the budget could not pay for a prompt."""

    def __init__(self, work: Work, calls: DirectCalls, asking: Asking, grading: Grading, budget: Budget) -> None:
        self._work, self._calls, self.asking, self.grading = work, calls, asking, grading
        self._budget, self._journal = budget, budget.journal
        self.is_paid_up = True

    def check(self) -> None:
        """Raises LabError if a prompt cannot be sent or graded."""
        for question in self._work.questions:
            self.grading.check(question)
            try:
                self._calls.worst_cost(question.body(self._work.targets[0].name, self._work.max_output))
            except ApiError as error:
                raise LabError(f"{question.where}: {error.message}") from None

    def answers(self, question: Question) -> dict[str, dict[str, Any]]:
        """Returns the answers to a prompt, as records of the journal by target."""
        found = {target.name: self._journal.records.get(self._key(question, target)) for target in self._work.targets}
        return {name: record for name, record in found.items() if record is not None}

    def texts(self, question: Question) -> dict[str, str]:
        """Returns the texts of the answers to a prompt by target."""
        return {name: record["text"] for name, record in self.answers(question).items()}

    def scores(self, question: Question) -> dict[str, float]:
        """Returns the scores of the graded answers to a prompt by target."""
        return self.grading.scores(question, self.texts(question))

    async def run(self) -> None:
        """Asks for the missing answers and grades, until everything is done or the budget ends."""
        waiting, progress = iter(self._work.questions), Progress(len(self._work.questions))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._work.concurrency, len(self._work.questions))):
                    group.create_task(self._work_through(waiting, progress))
        finally:
            progress.end()

    async def _work_through(self, waiting: Iterator[Question], progress: Progress) -> None:
        for question in waiting:
            if await self._finish(question):
                progress.step(self._journal.spent)

    async def _finish(self, question: Question) -> bool:
        """Asks for the missing answers and grades of a prompt. Returns false if the budget does not pay for them."""
        missing = [target for target in self._missing(question) if target.name not in self.asking.given_up]
        worst = self._worst(question, missing)
        if not missing and not worst:
            await self.grading.grade(question, self.texts(question), None)
            return True
        allotment = await self._budget.allot(worst) if self.is_paid_up else None
        if allotment is None:
            self.is_paid_up = False
            await self.grading.grade(question, self.texts(question), None)
            return False
        try:
            async with asyncio.TaskGroup() as group:
                for target in missing:
                    group.create_task(self._ask(question, target, allotment))
            await self.grading.grade(question, self.texts(question), allotment)
        finally:
            allotment.close()
        return True

    async def _ask(self, question: Question, target: Target, allotment: Allotment) -> None:
        body = question.body(target.name, self._limit(target))
        answer = await self.asking.ask(target.name, body, self._calls.worst_cost(body), allotment)
        if answer is not None:
            self._journal.add(self._key(question, target), _record(answer))

    def _worst(self, question: Question, missing: Sequence[Target]) -> Decimal:
        bodies = [question.body(target.name, self._limit(target)) for target in missing]
        worst = total([self._calls.worst_cost(body) for body in bodies])
        if isinstance(self.grading, Judge) and not self._is_graded(question):
            return total([worst, self.grading.worst_cost(question, len(self._work.targets))])
        return worst

    def _is_graded(self, question: Question) -> bool:
        return not self._missing(question) and len(self.scores(question)) == len(self._work.targets)

    def _missing(self, question: Question) -> list[Target]:
        answered = self.answers(question)
        return [target for target in self._work.targets if target.name not in answered]

    def _limit(self, target: Target) -> int:
        return min(self._work.max_output, target.max_output or self._work.max_output)

    def _key(self, question: Question, target: Target) -> str:
        return key_of("answer", target.upstream_model, question.body(target.name, self._limit(target)))

    def plan(self, dollars: Decimal) -> Plan:
        """Returns the plan of the run that would begin now."""
        questions = self._work.questions
        missing = [(question, target) for question in questions for target in self._missing(question)]
        complete = [question for question in questions if self._is_graded(question)]
        scores = [[self.scores(question)[target.name] for target in self._work.targets] for question in complete]
        worst = [self._worst(question, self._missing(question)) for question in questions]
        return Plan(
            prompts=len(questions),
            complete=len(complete),
            missing=len(missing),
            costs=self._expected_costs(missing, len(questions) - len(complete)),
            worst=total(worst),
            largest=max(worst),
            budget=dollars,
            spent=self._journal.spent,
            deviation=deviation_of(scores),
        )

    def _expected_costs(self, missing: Sequence[tuple[Question, Target]], ungraded: int) -> dict[str, Decimal]:
        known = [self.answers(question) for question in self._work.questions]
        lengths = {
            target.name: [found[target.name]["output_tokens"] for found in known if target.name in found]
            for target in self._work.targets
        }
        costs = dict.fromkeys(lengths, NOTHING)
        for question, target in missing:
            usual = usual_tokens(question.row.get("family"), lengths[target.name])
            expected = min(usual, self._limit(target))
            read = self._calls.input_tokens(question.body(target.name, self._limit(target)))
            costs[target.name] = total([costs[target.name], expected_cost(target, read, expected)])
        if self._work.judge is not None and isinstance(self.grading, Judge):
            costs[f"{self._work.judge.name} (judge)"] = self._expected_verdicts(
                self.grading, self._work.judge, lengths, ungraded
            )
        return costs

    def _expected_verdicts(self, judge: Judge, target: Target, lengths: dict[str, list[int]], ungraded: int) -> Decimal:
        """Returns the expected cost of the missing verdicts, which have about 15 tokens for each answer."""
        count = len(lengths)
        answers = sum([usual_tokens(None, known) for known in lengths.values()])
        questions = self._work.questions[:ungraded]
        costs = [expected_cost(target, judge.expected_input(question, answers), 15 * count) for question in questions]
        return total(costs)


def _record(answer: DirectAnswer) -> dict[str, Any]:
    return {
        "text": answer.text,
        "is_cut": answer.is_cut,
        "output_tokens": answer.output_tokens,
        "cost": str(answer.cost),
        "seconds": round(answer.seconds, 3),
    }
