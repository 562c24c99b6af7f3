"""Outcomes on which a learned policy can be better than each single model, or cannot, and evidence for the guard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rl_router_policy.claims import FILE, Claim, Claims, claims_as_text
from rl_router_policy.evidence import Evidence, Identity
from rl_router_policy.situation import Price


def write_outcomes(
    file: Path,
    prompts: int,
    *,
    names: Sequence[str] = ("large", "small"),
    start: int = 0,
    prefix: str = "p",
    gain: bool = True,
) -> None:
    """Writes a table with two models.

    If `gain` is true, only the second model gives good answers to the prompts of digits, and only the first model gives
    good answers to the other prompts. Otherwise, only the first model gives good answers. The texts and ids of the
    prompts depend on `start`, and the ids begin with `prefix`.
    """
    rows: list[dict[str, Any]] = []
    for at in range(start, start + prompts):
        digits = at % 2 == 1
        text = f"{at} + 24680 13579 = 37026" if digits else f"a question with the word {_word(at)}"
        scores = [float(not digits or not gain), float(digits and gain)]
        rows.append({"id": f"{prefix}{at}", "prompt": text, "scores": dict(zip(names, scores, strict=True))})
    file.write_text("".join([json.dumps(row) + "\n" for row in rows]))


def evidence(
    names: Sequence[str], scores: np.ndarray, preferences: np.ndarray, prices: Sequence[Price], **fields: Any
) -> Evidence:
    """Returns evidence with 100 input tokens and 100 output tokens for each answer."""
    prompts = len(scores)
    tokens, inputs = np.full(scores.shape, 100.0), np.full(prompts, 100.0)
    costs = np.array([[(price.input + price.output) * 1e-4 for price in prices]] * prompts)
    usual = {
        "targets": tuple([Identity(name, name) for name in names]),
        "prompts": tuple([f"{at:016x}" for at in range(prompts)]),
    }
    return Evidence(
        **{**usual, **fields},
        prices=tuple(prices),
        input_tokens=inputs,
        scores=scores,
        output_tokens=tokens,
        costs=costs,
        preferences=preferences,
        expected_tokens=tokens,
    )


def write_claims(folder: Path, artefact: str, claims: Sequence[Claim]) -> None:
    """Writes the file `guard.json` into the folder of an artefact."""
    (folder / FILE).write_text(claims_as_text(Claims(artefact, 7, tuple(claims)), 0.02))


def _word(number: int) -> str:
    """Returns a word without digits. Different numbers give different words."""
    return "".join([chr(ord("a") + int(digit)) for digit in str(number)])
