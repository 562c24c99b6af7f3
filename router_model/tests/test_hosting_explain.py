"""The explanation of an engine that ended before it answered."""

from __future__ import annotations

import pytest
from rl_router_model.hosting.explain import explain, last_line


@pytest.mark.parametrize(
    ("line", "explanation"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "too little GPU memory is free. Lower"),
        ("ValueError: No available memory for the cache blocks.", "too little GPU memory is free. Lower"),
        ("ValueError: Free memory on device (1/80 GiB) is less than desired", "too little GPU memory is free. Lower"),
        ("hub.errors.RepositoryNotFoundError: 404", "the Hugging Face hub has no model org/name. Fix --model."),
        ("OSError: org/name is not a local folder", "the Hugging Face hub has no model org/name. Fix --model."),
        (
            "401 Client Error: Unauthorized",
            "the Hugging Face hub denies access to org/name, or has no such model. Fix --model, or accept the model's "
            "licence on the hub and set HF_TOKEN.",
        ),
        (
            "GatedRepoError: restricted",
            "the Hugging Face hub denies access to org/name, or has no such model. Fix --model, or accept the model's "
            "licence on the hub and set HF_TOKEN.",
        ),
        ("OSError: [Errno 98] Address already in use", "port 8000 is in use. Stop the program that listens on"),
        ("something else", "the router model did not start: something else. Read the engine's output above"),
    ],
)
def test_a_failure_of_vllm_is_explained_in_one_line(line: str, explanation: str) -> None:
    lines = ["INFO loading\n", f"{line}\n", "\n"]
    assert explain(lines, "org/name", 8000).startswith(explanation)


def test_the_cause_may_be_far_above_the_last_line() -> None:
    lines = ["torch.OutOfMemoryError\n", *["  in a stack trace\n"] * 400, "RuntimeError: Engine core failed\n"]
    assert explain(lines, "org/name", 8000).startswith("too little GPU memory")


def test_an_engine_that_printed_nothing_has_a_message_too() -> None:
    assert last_line(["\n"]) == "it printed nothing"
