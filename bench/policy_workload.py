"""The decisions that the benchmark of the learned policy measures: prompts of 2 kB, and ten candidates."""

from __future__ import annotations

import json
import random
import string
from functools import lru_cache
from pathlib import Path
from typing import Any

from rl_router_policy.folder import BUNDLED, MANIFEST
from rl_router_policy.situation import Candidate, Price, Situation

CANDIDATES = 10
_CHARACTERS = 2_000
_DOCS = Path(__file__).parents[1] / "docs"


def prompts(count: int) -> list[str]:
    """Returns different prompts of 2,000 characters: parts of the documentation in which every tenth word is new."""
    draw = random.Random(0)
    text = "\n".join([page.read_text() for page in sorted(_DOCS.glob("*.md"))])
    starts = [draw.randrange(len(text) - _CHARACTERS) for _ in range(count)]
    return [_renewed(text[start : start + _CHARACTERS], draw) for start in starts]


def _renewed(text: str, draw: random.Random) -> str:
    """Returns a text of the same length in which random letters replace every tenth word.

    The policy remembers the tokens of each word that it has seen, so texts without new words would take less time.
    """
    words = text.split(" ")
    words[::10] = ["".join(draw.choices(string.ascii_lowercase, k=len(word))) for word in words[::10]]
    return " ".join(words)


def situation(prompt: str) -> Situation:
    """Returns the situation in which the policy chooses among ten models that the bundled artefact knows."""
    return Situation(prompt, _candidates(), value=0.01, guard="off")


@lru_cache
def names() -> list[str]:
    """Returns the names of ten models that the bundled artefact knows."""
    manifest = json.loads((BUNDLED / "artefact" / MANIFEST).read_text())
    known = [target["name"] for target in manifest["targets"] if "@" not in target["name"]]
    return known[:: len(known) // CANDIDATES][:CANDIDATES]


def price(at: int) -> dict[str, float]:
    """Returns the price of the candidate with the index `at`."""
    return {"input": round(0.1 * 1.5**at, 2), "output": round(0.4 * 1.5**at, 2)}


def tools() -> list[dict[str, Any]]:
    """Returns the tools by which a chat completion request offers the candidates."""
    parameters = {"type": "object", "properties": {}}
    return [
        {"type": "function", "function": {"name": each.tool, "description": each.target, "parameters": parameters}}
        for each in _candidates()
    ]


@lru_cache
def _candidates() -> tuple[Candidate, ...]:
    return tuple([Candidate(f"call_{at}", name, price=Price(**price(at))) for at, name in enumerate(names())])
