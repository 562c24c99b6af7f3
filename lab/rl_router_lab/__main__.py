"""The command line of `rl-router lab`: runs the command that the first argument names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rl_router_policy.errors import ArtefactError

from .commands import calibrate, evaluate, import_, predict, promote, report, train
from .errors import LabError

_COMMANDS = (import_, calibrate, train, evaluate, predict, report, promote)
_EXAMPLE = """\
exit codes:
  0  success
  1  a file or the value of an option is wrong, a file cannot be written, or a Python package is missing
  2  the options cannot be parsed
  3  the policy was not promoted, because it is not proven
  130  the user stopped the command with Ctrl-C

example:
  rl-router lab import outcomes.csv --out table.jsonl
  rl-router lab calibrate --config router.yaml --prompts prompts.jsonl --budget 5 --grade exact --out table.jsonl
  rl-router lab train --table table.jsonl --models models.json --out my-policy
  rl-router lab evaluate --artefact my-policy --table more.jsonl --models models.json
  rl-router lab promote --artefact my-policy --table more.jsonl --models models.json --to artefacts

`rl-router lab COMMAND --help` explains a command with its options."""


def main(arguments: Sequence[str] | None = None, prog: str = "rl-router lab") -> int:
    """Runs the named command. Returns the exit code. Exits after `--help` and after invalid options.

    The exit code is 1 if the command fails, and 3 if a policy was not promoted.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Trains a policy on outcomes, and shows whether the policy is better than any single model.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        code: int | None = options.run(options)
    except (LabError, ArtefactError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        remedy = "Choose an existing folder that you can write to"
        print(f"error: {error.filename}: {error.strerror}. {remedy}", file=sys.stderr)
        return 1
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
