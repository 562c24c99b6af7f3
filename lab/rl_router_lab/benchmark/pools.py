"""The public tables of the benchmark, and the pool of each table: the models between which a policy chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..table import Table, read_tables

POOLS = {
    "llmrouter": None,
    "mmlu-pro": (
        "gemini-1.5-pro-002", "gemini-1.5-flash-002", "Meta-Llama-3.1-70B-Instruct", "Meta-Llama-3.1-8B-Instruct",
        "Qwen1.5-72B-Chat", "Mixtral-8x7B-Instruct-v0.1", "Mistral-7B-Instruct-v0.2", "c4ai-command-r-v01",
        "jamba-1.5-large", "Phi-3-mini-4k-instruct", "mathstral-7B",
    ),
    "zeroeval": (
        "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022",
        "claude-3-haiku-20240307", "claude-3-opus-20240229", "gemini-1.5-pro", "gemini-1.5-flash",
        "o1-mini-2024-09-12", "deepseek-v2.5-0908", "Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3.1-70B-Instruct",
        "Qwen2.5-72B-Instruct", "Qwen2.5-7B-Instruct", "grok-2-1212", "gemma-2-9b-it",
    ),
}  # fmt: skip
"""The pool of each table. None stands for all models of the table."""
_TASKS = {"zeroeval": ("ze_crux", "ze_math-l5")}
"""The tasks of a table that all models of the pool answered. The pool's table has only these tasks."""


def whole_table(folder: Path, name: str) -> Table:
    """Returns a public table with all models and prompts."""
    return read_tables([folder / f"{name}.jsonl.gz"])


def pool_table(folder: Path, name: str) -> Table:
    """Returns a public table with the models of its pool and the prompts that all these models answered."""
    table = whole_table(folder, name)
    if name in _TASKS:
        table = table.rows(np.isin([prompt.task for prompt in table.prompts], _TASKS[name]))
    models = POOLS[name]
    return (table if models is None else table.columns(sorted(models))).complete()
