"""`rl-router lab calibrate`: asks all targets of a configuration the same prompts, grades the answers, and writes a
table for `rl-router lab train`.

PROMPTS has one JSON object per line: {"id": TEXT, "prompt": TEXT or "messages": LIST, "expected": ANSWER, "task": TEXT,
"family": TEXT}. The fields `tools`, `tool_choice`, `response_format`, `temperature` and `max_tokens` are sent to the
targets. All fields are copied into the table.

The command first says what the missing answers will cost and which gain they can prove, and asks before it spends
money. The worst-case cost of each call is reserved before the call, so that all runs together never spend more than the
budget. Prompts are asked in a random order, so that the prompts that a budget pays for are a random sample.

Every answer is kept in the file TABLE.journal. To resume after a stop, a crash or a failed target, or with a higher
budget, run the same command again: only missing answers are asked for.

ways to grade:
  exact    the answer is `expected` (a text, a number, or a list of these), apart from case and white space
  regex    the regular expression `expected` matches a part of the answer
  schema   the answer is JSON that satisfies the JSON schema `expected`, or the schema of --schema
  command  --command reads the answer from the standard input, and the row from the file that the environment variable
           RL_ROUTER_ROW names. The last line of the output is the score, from 0 to 1. Without output, the exit status 0
           means 1, and the exit status 1 means 0
  judge    the target --judge grades all answers to a prompt together, without the targets' names and in random order.
           It grades a sample again in the opposite order, and the command says how much the order and the length matter
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import shutil
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LabError

if TYPE_CHECKING:
    from ..calibration.session import Settings

_EXAMPLE = """\
examples:
  rl-router lab calibrate --config router.yaml --prompts prompts.jsonl --budget 5 --grade exact --out table.jsonl
  rl-router lab calibrate --config router.yaml --prompts prompts.jsonl --budget 5 --grade judge --judge gpt-5 \\
      --target gpt-5-mini --target gpt-5-nano --models models.json --out table.jsonl"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "calibrate", help="ask all targets the same prompts, and grade the answers", description=__doc__,
        epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--config", required=True, metavar="ROUTER.yaml", help="configuration of the router API, with the targets")
    add("--prompts", type=Path, required=True, metavar="FILE", help="prompts (.jsonl, .jsonl.gz or .parquet)")
    add("--budget", type=_dollars, required=True, metavar="USD", help="money that all runs together may spend")
    add("--out", type=Path, required=True, metavar="TABLE", help="file for the table (JSONL)")
    add("--grade", choices=["exact", "regex", "schema", "command", "judge"], required=True, help="see above")
    add("--schema", type=Path, metavar="FILE", help="JSON schema for rows without `expected`")
    add("--command", dest="program", metavar="COMMAND", help="program that grades an answer, with its arguments")
    add("--command-timeout", type=_seconds, default=60.0, metavar="SECONDS",
        help="time after which a command is killed and the answer gets the score 0 (default: 60)")  # fmt: skip
    add("--judge", metavar="TARGET", help="target that grades. With --target, the judge need not answer itself")
    add("--judge-twice", type=_share, default=0.1, metavar="SHARE",
        help="share of the prompts that the judge grades in both orders (default: 0.1)")  # fmt: skip
    add("--target", action="append", default=[], metavar="NAME",
        help="ask only this target. Repeat the option for several targets (default: all targets)")  # fmt: skip
    add("--models", type=Path, metavar="FILE",
        help="also write the targets' prices and profiles into this file, for --models of `train`")  # fmt: skip
    add("--max-output", type=_count, default=4096, metavar="N",
        help="maximum number of output tokens of an answer, including thinking (default: 4096)")  # fmt: skip
    add("--concurrency", type=_count, default=4, metavar="N", help="prompts in progress at a time (default: 4)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the order of prompts and answers (default: 0)")
    add("--yes", action="store_true", help="spend money without asking")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Asks for the missing answers, writes the table, and prints what is missing. Raises LabError or SystemExit."""
    try:
        from rl_router_api.errors import ConfigurationError

        from ..calibration.session import calibrate
    except ModuleNotFoundError as error:
        remedy = "Install RL Router with the extras `api` and `lab`"
        raise LabError(f"calibrating needs the module {error.name}. {remedy}") from None
    settings = _settings(options)
    try:
        asyncio.run(calibrate(settings, lambda: _may_spend(options)))
    except ConfigurationError as error:
        raise LabError(str(error)) from None
    except KeyboardInterrupt:
        print("stopped. To resume, run the same command again", file=sys.stderr)
        raise SystemExit(130) from None


def _settings(options: argparse.Namespace) -> Settings:
    from ..calibration.session import Settings

    if options.grade in (needs := {"command": options.program, "judge": options.judge}) and not needs[options.grade]:
        raise LabError(f"--grade {options.grade}: needs --{options.grade}. Add the option")
    return Settings(
        config=options.config, prompts=options.prompts, out=options.out, models=options.models, budget=options.budget,
        grade=options.grade, schema=_schema(options.schema), command=_words(options.program or ""),
        command_timeout=options.command_timeout, judge=options.judge if options.grade == "judge" else None,
        judge_twice=options.judge_twice, targets=tuple(options.target), max_output=options.max_output,
        concurrency=options.concurrency, seed=options.seed,
    )  # fmt: skip


def _words(program: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(program))
    except ValueError as error:
        raise LabError(f"--command {program}: cannot be split into words: {error}. Correct the quotes") from None
    if words and shutil.which(words[0]) is None:
        raise LabError(f"--command {program}: the program {words[0]} does not exist. Correct the name")
    return words


def _schema(file: Path | None) -> object:
    if file is None:
        return None
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise LabError(f"--schema {file}: cannot be read: {error}. Pass a JSON file with a JSON schema") from None


def _may_spend(options: argparse.Namespace) -> None:
    """Raises LabError unless the user agrees to spend money."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise LabError("nothing was asked, because nobody confirmed the cost. To spend the money, add --yes")
    if _reply("Ask the targets? [y/N] ") not in ("y", "yes"):
        raise LabError("nothing was asked. To spend the money, answer y or add --yes")


def _reply(question: str) -> str:
    """Returns the user's reply in lower case. Ctrl-C raises KeyboardInterrupt at once, also in a running event loop."""
    print(question, end="", file=sys.stderr, flush=True)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline().strip().lower()
    finally:
        signal.signal(signal.SIGINT, previous)


def _dollars(text: str) -> Decimal:
    try:
        dollars = Decimal(text)
    except InvalidOperation:
        dollars = Decimal(-1)
    if not (dollars.is_finite() and 0 < dollars <= 10**9):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of US dollars. Pass a number above 0, such as 5")
    return dollars


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000000. Pass such a number")
    return int(text)


def _seconds(text: str) -> float:
    return _number(text, 0.1, 86_400)


def _share(text: str) -> float:
    return _number(text, 0, 1)


def _number(text: str, lowest: float, highest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {lowest} to {highest}. Pass such a number")
    return value
