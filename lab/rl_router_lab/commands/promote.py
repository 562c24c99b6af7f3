"""`rl-router lab promote`: copies an artefact to the folder of a server, if the artefact is proven.

The command compares the artefact with each single model of the table, on prompts that the artefact was not trained on.
If there are no such prompts, use --folds. The command exits with 3 if the artefact is not proven to be better. Each
test on the same prompts makes the next test stricter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_router_policy.guard import MARGIN
from rl_router_policy.value import UNITS, Word, worth

from ..errors import LabError
from ..evidence import evidence_of
from ..promotion import Candidate, Finding, Result, promote
from . import options as shared

NOT_PROVEN = 3


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "promote", help="let a proven artefact serve", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared.add_artefact(parser)
    shared.add_table(parser)
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="folder of artefacts, as in `routing.artefacts`"
    )
    parser.add_argument(
        "--prefer", action="append", metavar="GOAL",
        help="goal of the requests, as in `routing.prefer`: cost, balanced, quality, or the worth of a good answer in"
        " USD (default: balanced). Repeat the option for several goals",
    )  # fmt: skip
    parser.add_argument(
        "--margin", type=float, default=MARGIN, metavar="UTILITY",
        help=f"loss of utility that is tolerated, as in `routing.guard_margin` (default: {MARGIN})",
    )  # fmt: skip
    shared.add_refits(parser)
    parser.add_argument(
        "--force", action="store_true",
        help="copy the artefact even if it does not pass. The manifest says so. The API still checks the evidence",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Promotes the artefact, and prints what the guard found. Returns the exit code.

    Raises LabError or ArtefactError.
    """
    if not 0 <= options.margin <= 1:
        raise LabError(f"--margin {options.margin:g}: is not between 0 and 1. Use a number such as {MARGIN}")
    artefact = shared.read_artefact(options)
    table, models = shared.read_table(options)
    evidence = evidence_of(artefact, table, models, shared.refits(options, artefact))
    candidate = Candidate(options.artefact, artefact, evidence, options.margin)
    units = list(dict.fromkeys([_units(goal, evidence.unit) for goal in options.prefer or ["balanced"]]))
    result = promote(candidate, units, options.to, force=options.force)
    for finding in result.findings:
        print(_described(finding, candidate))
    print(_outcome(result))
    return 0 if result.promoted else NOT_PROVEN


def _units(goal: str, unit: float | None) -> int | None:
    """Returns the value of a good answer in units, or None if all models are free. Raises LabError."""
    try:
        prefer: Word | float = goal if goal in UNITS else float(goal)
    except ValueError:
        prefer = 0.0
    if not isinstance(prefer, str) and not 0 < prefer < float("inf"):
        raise LabError(f"--prefer {goal}: is not a goal. Use {', '.join(UNITS)}, or a number of US dollars above 0")
    value = worth(prefer, unit)
    return None if value is None or unit is None else round(value / unit)


def _described(finding: Finding, candidate: Candidate) -> str:
    """Returns what the guard found, with one line for each constant."""
    claim, found = finding.claim, finding.judgement
    amount = "costs do not count" if claim.units is None else f"a good answer is worth {claim.units} units"
    test = f"test {claim.test} of these prompts, level {found.level:.2g}"
    lines = [f"{amount}: {found.verdict} ({found.prompts:,} prompts, {test})"]
    lines += [
        f"  utility above {gain.constant}: {gain.mean:+.4f} on average, at least {gain.bound:+.4f}"
        for gain in found.gains
    ]
    missing = [(found.missing(candidate.margin), "to serve"), (found.missing(), "for a proof")]
    needs = [f"about {count:,} more prompts {purpose}" for count, purpose in missing if count]
    if not finding.serves:
        needs = needs or [f"on average, the policy is not better than {found.weakest.constant}"]
    return "\n".join([*lines, *[f"  {need}" for need in needs]])


def _outcome(result: Result) -> str:
    passed = all(finding.serves for finding in result.findings)
    if result.promoted is None:
        remedy = "Add prompts to the table, train on more outcomes, or use --force"
        return f"not promoted: the policy is not proven to be better than each model. {remedy}"
    return f"{result.promoted}: promoted" + ("" if passed else ", although the policy is not proven (--force)")
