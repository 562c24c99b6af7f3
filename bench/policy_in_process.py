"""Implements `python bench/policy_in_process.py COUNT`, which measures the learned policy's decisions.

Prints a JSON object with the durations, in milliseconds, of COUNT decisions with the memory and of COUNT without it,
and the number of prompts in the memory. Run the process on one core with OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from policy_workload import prompts, situation
from rl_router_policy import embedding
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.decide import decide
from rl_router_policy.folder import BUNDLED
from rl_router_policy.memory import Memory
from rl_router_policy.situation import Situation

_WARM_UP = 50


def main(count: int) -> None:
    artefact = load_artefact(BUNDLED / "artefact", embedding.load(embedding.BUNDLED))
    situations = [situation(prompt) for prompt in prompts(2 * (count + _WARM_UP))]
    half = len(situations) // 2
    durations = {
        "memory": list(_durations(artefact, situations[:half])),
        "no memory": list(_durations(_without_memory(artefact), situations[half:])),
    }
    print(json.dumps({"prompts": len(artefact.predictor.memory.keys), **durations}))


def _durations(artefact: Artefact, situations: Sequence[Situation]) -> Iterator[float]:
    """Yields the duration of each decision after the warm-up, in milliseconds."""
    for at, each in enumerate(situations):
        start = time.perf_counter()
        decide(artefact, each)
        if at >= _WARM_UP:
            yield (time.perf_counter() - start) * 1000


def _without_memory(artefact: Artefact) -> Artefact:
    memory = artefact.predictor.memory
    unused = Memory(memory.keys, memory.scores, memory.count, 0.0)
    return replace(artefact, predictor=replace(artefact.predictor, memory=unused))


if __name__ == "__main__":
    main(int(sys.argv[1]))
