"""Trains policies on the public tables in FOLDER, measures them and writes the figures: `make lab-bench DATA=FOLDER`.

FOLDER must contain the files `llmrouter.jsonl.gz`, `mmlu-pro.jsonl.gz`, `zeroeval.jsonl.gz`,
`mmlu-pro-answers.jsonl.gz`, `zeroeval-answers.jsonl.gz` and `models.json`. All measures together take some hours on two
cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl_router_policy import embedding

from ..errors import LabError
from ..models import read_models
from .kept_out import FOLDS, Settings
from .measures import MEASURES
from .report import report

_LIBRARIES = ("numpy", "jax", "jaxlib", "optax")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the measures and returns the exit status, which is 1 if a file is wrong, or cannot be read or written."""
    parser = argparse.ArgumentParser(prog="make lab-bench", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the tables and models.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--only", choices=list(MEASURES), action="append",
        help="run only this measure. Repeat the option for several measures",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, action="append", metavar="N",
        help="use only this seed (speed and unseen: only the first). Repeat the option for several seeds",
    )  # fmt: skip
    parser.add_argument(
        "--folds", type=int, choices=range(1, FOLDS + 1), default=FOLDS, help="number of folds to test (default: 5)"
    )
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.only or MEASURES:
            _measure(name, options.data, tuple(options.seed or MEASURES[name].seeds), options.folds, options.out)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}. Correct the folder DATA or --out", file=sys.stderr)
        return 1
    return 0


def _measure(name: str, data: Path, seeds: Sequence[int], folds: int, out: Path) -> None:
    """Runs a measure, and writes its result and the table of all results after each part of the measure."""
    begun = time.monotonic()
    models, words = read_models(data / "models.json"), embedding.load(embedding.BUNDLED)
    settings = Settings(models, words, lambda line: print(line, flush=True), folds)
    about = _about(name, data, seeds, settings)
    for result in MEASURES[name].run(data, seeds, settings):
        content = {**about, "seconds": round(time.monotonic() - begun), "result": result}
        (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        (out / "README.md").write_text(report(out))


def _about(name: str, data: Path, seeds: Sequence[int], settings: Settings) -> dict[str, Any]:
    options = "".join([f" --seed {seed}" for seed in seeds]) if tuple(seeds) != MEASURES[name].seeds else ""
    options += f" --folds {settings.folds}" if settings.folds != FOLDS else ""
    inputs = [data / f"{table}.jsonl.gz" for table in MEASURES[name].tables] + [data / "models.json"]
    return {
        "command": f"make lab-bench DATA=FOLDER OPTIONS='--only {name}{options}'",
        "seeds": list(seeds),
        "versions": {library: version(library) for library in _LIBRARIES},
        "embedding": settings.embedding.hash,
        "inputs": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs},
    }


if __name__ == "__main__":
    sys.exit(main())
