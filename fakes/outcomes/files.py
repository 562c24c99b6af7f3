"""Writes outcomes and models as files that the lab reads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from rl_router_lab.table import Table

from .world import MODELS


def write_table(file: Path, table: Table) -> None:
    """Writes a table in the tidy form, without contexts and costs but with answers, if any.

    A file whose name ends in `.gz` is compressed.
    """
    rows = [
        {
            "id": prompt.id,
            "prompt": prompt.text,
            "task": prompt.task,
            "scores": dict(zip(table.models, table.scores[at].tolist(), strict=True)),
            "output_tokens": dict(zip(table.models, table.output_tokens[at].tolist(), strict=True)),
            **({} if table.answers is None else {"answers": dict(zip(table.models, table.answers[at], strict=True))}),
        }
        for at, prompt in enumerate(table.prompts)
    ]
    content = "".join([f"{json.dumps(row)}\n" for row in rows]).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def write_models(file: Path) -> None:
    """Writes `MODELS` as a file for the lab's option `--models`."""
    models = {
        name: {
            "price": {"input": model.price.input, "output": model.price.output},
            "parameters_billion": model.profile.parameters,
        }
        for name, model in MODELS.items()
    }
    file.write_text(json.dumps({"models": models}))
