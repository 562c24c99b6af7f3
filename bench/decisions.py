"""Implements `python bench/decisions.py`, which measures the decisions of the bundled language model on a CPU.

The benchmark writes the tokens, duration and validity of the decisions to `bench/results.md`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from processes import LOAD_CORE, SERVER_CORE, Process, free_port
from results import write_section

_QUESTIONS = (
    "What is the capital of Australia?",
    "Write a function that reverses a linked list.",
    "Prove that the square root of two is irrational.",
    "Translate 'good morning' into Finnish.",
    "Summarise the causes of the First World War in three sentences.",
)
_TARGETS = (
    ("quick-helper", "0.05", "Cheap and quick. Greetings, facts, short everyday questions."),
    ("careful-thinker", "0.50", "Slow and thorough. Mathematics, logic, explanations in several steps."),
    ("code-writer", "0.20", "Programming: writes, explains and mends code in any language."),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine, router = free_port(), free_port()
        model = Process(
            [sys.executable, "-m", "rl_router_model", "--port", str(engine), "--decide", "language-model"],
            LOAD_CORE,
            folder / "model.log",
        )
        try:
            model.wait_until_it_answers(f"http://127.0.0.1:{engine}/v1/models")
            api = _api(folder, engine, router)
            try:
                write_section("Decisions", _section(list(_decisions(router))))
            finally:
                api.stop()
        finally:
            model.stop()


def _api(folder: Path, engine: int, port: int) -> Process:
    url = f"http://127.0.0.1:{engine}/v1"
    targets = [
        {"name": name, "base_url": url, "price": {"input": price, "output": price}, "description": text}
        for name, price, text in _TARGETS
    ]
    config = folder / "router.yaml"
    router = {"base_url": url, "protocol": "json_schema", "timeout": 60}
    server = {"port": port, "admin_port": 0}
    config.write_text(yaml.safe_dump({"router": router, "targets": targets, "server": server}))
    process = Process([sys.executable, "-m", "rl_router_api", "--config", str(config)], SERVER_CORE, folder / "api.log")
    process.wait_until_it_answers(f"http://127.0.0.1:{port}/ready")
    return process


def _decisions(port: int) -> Iterator[dict[str, Any]]:
    """Yields the last entry of `router_calls` for each decision, and adds the field `decided_by` to the entry.

    The benchmark sends every question twice.
    """
    for question in _QUESTIONS * 2:
        question_body = {"model": "router", "messages": [{"role": "user", "content": question}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/route",
            json.dumps(question_body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as response:
            body = json.load(response)
        yield {**body["router_metadata"]["router_calls"][-1], "decided_by": body["decided_by"]}


def _section(entries: list[dict[str, Any]]) -> str:
    usages = [entry["usage"] for entry in entries]
    figures = {
        "prompt tokens": [usage["prompt_tokens"] for usage in usages],
        "cached prompt tokens": [
            (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for usage in usages
        ],
        "completion tokens (goal: at most 24)": [usage["completion_tokens"] for usage in usages],
        "seconds": [entry["latency"] for entry in entries],
    }
    rows = "\n".join(
        f"| {name} | {round(statistics.median(values), 4):g} | {min(values):g} | {max(values):g} |"
        for name, values in figures.items()
    )
    valid = sum(entry["decided_by"] == "router" for entry in entries)
    return (
        f"The CPU fallback's bundled model made {len(entries)} decisions among {len(_TARGETS)} targets, on one core "
        f"and with `protocol: json_schema`. {valid} of the decisions were valid.\n\n"
        f"| | median | minimum | maximum |\n| --- | --- | --- | --- |\n{rows}"
    )


if __name__ == "__main__":
    main()
