"""A synthetic world: prompts, and models whose probability of a good answer to each prompt is known.

Each prompt has a kind and a difficulty, which the words of the prompt show. Each model is better at some kinds
than at others, and the models have different prices. So the best policy is known, and the regret of any other policy
can be computed without sampling error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rl_router_lab.models import Model
from rl_router_lab.table import Table, prompt_of
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Price

SUBJECTS = {
    "algebra": ("solve", "equation", "integer", "fraction", "root", "polynomial", "sum", "x", "y", "proof"),
    "code": ("function", "python", "list", "loop", "return", "string", "bug", "class", "sort", "test"),
    "history": ("king", "war", "century", "treaty", "empire", "revolution", "battle", "year", "nation", "queen"),
    "cooking": ("recipe", "oven", "butter", "sugar", "soup", "onion", "bake", "salt", "dough", "garlic"),
    "law": ("contract", "court", "liability", "statute", "plaintiff", "evidence", "appeal", "judge", "clause", "tort"),
}
HARD = ("rigorously", "exhaustively", "formally", "advanced", "obscure")
EASY = ("briefly", "simple", "quick", "basic", "short")
_FILLERS = ("please", "explain", "the", "a", "of", "about", "with", "and", "for", "give", "how", "what", "this", "that")

MODELS = {
    "large": Model(Price(3.0, 15.0), Profile(3.0, 15.0, 400)),
    "coder": Model(Price(0.5, 2.0), Profile(0.5, 2.0, 30)),
    "scholar": Model(Price(0.6, 2.4), Profile(0.6, 2.4, 70)),
    "mathematician": Model(Price(0.8, 3.0), Profile(0.8, 3.0, 70)),
    "small": Model(Price(0.05, 0.2), Profile(0.05, 0.2, 3)),
}
"""The models by name, with prices in US dollars per million tokens."""
_SKILLS = {
    "large": {"algebra": 1.2, "code": 1.2, "history": 1.2, "cooking": 1.8, "law": 1.2},
    "coder": {"algebra": 0.0, "code": 2.4, "history": -2.0, "cooking": -1.0, "law": -2.0},
    "scholar": {"algebra": -1.5, "code": -2.0, "history": 2.2, "cooking": 0.5, "law": 2.0},
    "mathematician": {"algebra": 2.6, "code": 0.3, "history": -1.5, "cooking": -1.0, "law": -1.0},
    "small": {"algebra": -1.5, "code": -1.5, "history": -0.5, "cooking": 1.8, "law": -1.5},
}
"""The logit of the probability of a good answer for each model and kind of prompt, at the difficulty 0."""
_OUTPUT_TOKENS = 300


@dataclass(frozen=True)
class World:
    """A table of outcomes, with the true probability of a good answer and the cost in USD for each prompt and model."""

    table: Table
    chances: np.ndarray
    costs: np.ndarray

    def regret(self, chosen: np.ndarray, value: float) -> float:
        """Returns how much lower the mean utility of the chosen models is than that of the best model for each prompt.

        The argument `value` is the worth of a good answer in US dollars.
        """
        utilities = self.chances - self.costs / value
        return float((utilities.max(axis=1) - utilities[np.arange(len(chosen)), chosen]).mean())

    def constant_regret(self, value: float) -> float:
        """Returns the lowest regret that is possible if one model is chosen for all prompts."""
        size, models = self.chances.shape
        return min(self.regret(np.full(size, model), value) for model in range(models))


def world(prompts: int, seed: int, *, shuffled: bool = False) -> World:
    """Returns a random world with `prompts` prompts. The same seed gives the same world.

    If `shuffled` is true, the scores are permuted among the prompts, so that nothing can be learned from the text.
    """
    random = np.random.default_rng(seed)
    kinds = random.choice(list(SUBJECTS), prompts)
    difficulties = random.choice([-1.0, 0.0, 1.0], prompts)
    texts = [_text(random, kind, hard) for kind, hard in zip(kinds, difficulties, strict=True)]
    names = tuple(sorted(MODELS))
    logits = np.array([[_SKILLS[name][kind] for name in names] for kind in kinds]) - difficulties[:, None]
    chances = 1 / (1 + np.exp(-logits))
    scores = (random.random(chances.shape) < chances).astype(np.float64)
    if shuffled:
        scores = scores[random.permutation(prompts)]
    rows = tuple(
        [
            prompt_of(f"{seed}-{at}", text, str(kind), "world")
            for at, (text, kind) in enumerate(zip(texts, kinds, strict=True))
        ]
    )
    tokens = np.full(scores.shape, float(_OUTPUT_TOKENS))
    prices = [MODELS[name].price for name in names]
    inputs = np.array([row.input_tokens for row in rows])[:, None]
    costs = (inputs * [price.input for price in prices] + tokens * [price.output for price in prices]) / 1e6
    return World(Table(rows, names, scores, tokens, np.full(scores.shape, np.nan)), chances, costs)


def _text(random: np.random.Generator, kind: str, difficulty: float) -> str:
    subject = random.choice(SUBJECTS[kind], 6)
    level = random.choice(HARD if difficulty > 0 else EASY, 2) if difficulty else random.choice(_FILLERS, 2)
    words = [*subject, *level, *random.choice(_FILLERS, 8)]
    return " ".join(random.permutation(words))
