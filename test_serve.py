#!/usr/bin/env python3
"""Sends real questions to a router API (by default on port 8800) with the openai package, and checks the answers.

The script shows each answer with its model, cost, time, calls and strategy. The script checks that each completion has
the right format, that the sums of the costs are exact, and that targets get the earlier messages of a conversation.
The exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

import environment

if __name__ == "__main__":
    environment.reenter(__file__)

import live_check
import openai
from live_check import Answer, Messages, require

MODEL = "router-tool-rl"
QUESTIONS = {
    "simple_query": "What is the capital of France?",
    "math_problem": "A train covers 240 km in 2.5 hours, then 90 km in 45 minutes. What is its average speed?",
    "coding_task": "Write a Python function that returns the longest palindrome in a string.",
    "reasoning_task": "All bloops are razzies and some razzies are lazzies. Must some bloops be lazzies? Explain.",
    "creative_task": "Write the opening of a story about a lighthouse keeper who receives a letter from the sea.",
}
CONVERSATION = (
    "My name is Ada and I am planning a week in Lisbon. What should I see first?",
    "And what would you suggest if it rains all day?",
    "Put the plan for both kinds of days into one short list, and address me by my name.",
)
SYSTEM_PROMPT = (
    "You are a pirate captain. You answer every question in one sentence, you begin it with 'Arr', and you never "
    "mention anything that was invented after the year 1750, however much the crew may ask you to."
)


def main() -> int:
    arguments = _arguments()
    return live_check.guarded(lambda: _run(arguments), "bash serve.sh", arguments)


def _arguments() -> argparse.Namespace:
    flags = live_check.parser("Check a running router API.", "http://localhost:8800/v1")
    flags.add_argument(
        "--test", choices=[*CHECKS, "all"], default="all", help="the check to run (default: %(default)s)"
    )
    return flags.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    client = live_check.connect(arguments)
    if arguments.info:
        return _show_info(arguments)
    if arguments.models:
        return _show_models(client)
    # If the server is unreachable, this request fails, so that the checks do not report the same error again.
    names = [model.id for model in client.models.list()]
    print(f"{arguments.url} routes among: {', '.join(name for name in names if name not in (MODEL, 'router'))}")
    selected = CHECKS if arguments.test == "all" else {arguments.test: CHECKS[arguments.test]}
    return live_check.run({name: partial(check, client) for name, check in selected.items()})


def _ask(client: openai.OpenAI, messages: Messages) -> Answer:
    print(f"  {live_check.dim('? ' + messages[-1]['content'])}")
    answer = live_check.ask(client, MODEL, messages)
    live_check.check_metadata(answer.metadata)
    live_check.show(answer)
    return answer


def _single(client: openai.OpenAI, name: str) -> None:
    _ask(client, [{"role": "user", "content": QUESTIONS[name]}])


def _simple_query(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": QUESTIONS["simple_query"]}]
    _ask(client, messages)
    print(f"  {live_check.dim('? the same question, streamed')}")
    streamed = live_check.ask_streamed(client, MODEL, messages)
    live_check.check_metadata(streamed.metadata)
    live_check.show(streamed)


def _conversation(client: openai.OpenAI) -> None:
    messages: Messages = []
    previous: Answer | None = None
    for question in CONVERSATION:
        messages.append({"role": "user", "content": question})
        answer = _ask(client, messages)
        _check_earlier_turns(previous, answer)
        messages.append({"role": "assistant", "content": answer.text or "(nothing)"})
        previous = answer


def _check_earlier_turns(previous: Answer | None, answer: Answer) -> None:
    # The prompt tokens of a direct answer mostly count the instructions of the router model, not the conversation.
    if previous is None or "direct_response" in (_strategy(previous), _strategy(answer)):
        return
    earlier, later = (int((turn.usage or {})["prompt_tokens"]) for turn in (previous, answer))
    # The earlier prompt may be longer by the router model's advice, which has at most one token per byte.
    advice_tokens = len(previous.advice.encode()) + 100 if previous.advice else 0
    require(
        later > earlier - advice_tokens,
        f"the second of two requests of a conversation has too few prompt_tokens: {later}, after {earlier} for the "
        "first request. The earlier messages may be lost, or the two targets count tokens differently",
    )


def _strategy(answer: Answer) -> str:
    return str((answer.metadata or {})["routing_strategy"])


def _system_prompt(client: openai.OpenAI) -> None:
    print(f"  {live_check.dim('system: ' + SYSTEM_PROMPT)}")
    _ask(client, [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": "How do I find my way home?"},
    ])  # fmt: skip


def _show_info(arguments: argparse.Namespace) -> int:
    for path in ("/", "/health"):
        print(live_check.bold(f"GET {path}"))
        live_check.show_values(_parsed(live_check.fetch(arguments, path)).items())
    return 0


def _parsed(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        problem = f"the answer to GET / or GET /health is not JSON: {text[:200]}"
        raise live_check.CheckError(f"{problem}. Set --url to a router API") from None
    return value if isinstance(value, dict) else {"answer": value}


def _show_models(client: openai.OpenAI) -> int:
    for model in client.models.list():
        routed = model.id in (MODEL, "router")
        print(f"{model.id}{live_check.dim('  (routed)') if routed else ''}")
    return 0


CHECKS: dict[str, Callable[[openai.OpenAI], None]] = {
    "simple_query": _simple_query,
    "math_problem": partial(_single, name="math_problem"),
    "coding_task": partial(_single, name="coding_task"),
    "reasoning_task": partial(_single, name="reasoning_task"),
    "conversation": _conversation,
    "creative_task": partial(_single, name="creative_task"),
    "system_prompt": _system_prompt,
}


if __name__ == "__main__":
    sys.exit(main())
