#!/usr/bin/env python3
"""Checks a running router API (port 8800) with real questions, as the openai package asks them.

Each answer is shown with its routing: model, cost, time, calls and strategy. What can be checked is checked (the
completion's shape, the metadata's sums to the last digit, the conversation carried), and a failure is exit status 1.
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
    flags.add_argument("--test", choices=[*CHECKS, "all"], default="all", help="which questions to ask (%(default)s)")
    return flags.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    client = live_check.connect(arguments)
    if arguments.info:
        return _show_info(arguments)
    if arguments.models:
        return _show_models(client)
    # An absent server is said once, not by every check.
    names = [model.id for model in client.models.list()]
    print(f"{arguments.url} routes among: {', '.join(name for name in names if name not in (MODEL, 'router'))}")
    chosen = CHECKS if arguments.test == "all" else {arguments.test: CHECKS[arguments.test]}
    return live_check.run({name: partial(check, client) for name, check in chosen.items()})


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
    print(f"  {live_check.dim('? the same, streamed')}")
    streamed = live_check.ask_streamed(client, MODEL, messages)
    live_check.check_metadata(streamed.metadata)
    live_check.show(streamed)


def _conversation(client: openai.OpenAI) -> None:
    messages: Messages = []
    before: Answer | None = None
    for question in CONVERSATION:
        messages.append({"role": "user", "content": question})
        answer = _ask(client, messages)
        _check_carried(before, answer)
        messages.append({"role": "assistant", "content": answer.text or "(nothing)"})
        before = answer


def _check_carried(before: Answer | None, now: Answer) -> None:
    # The router model's own answers are counted with its instructions, which say nothing of the conversation.
    if before is None or "direct_response" in (_strategy(before), _strategy(now)):
        return
    earlier, later = (int((answer.usage or {})["prompt_tokens"]) for answer in (before, now))
    # Advice of the router model was part of the earlier prompt alone; a token is a byte at least.
    advised = len(before.advice.encode()) + 100 if before.advice else 0
    require(
        later > earlier - advised,
        f"the conversation was not carried: {later} prompt_tokens after {earlier} one turn before",
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
        raise live_check.CheckError("what the server says of itself is not JSON") from None
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
