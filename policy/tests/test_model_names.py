"""What is known of models by their names."""

import pytest
from rl_router_policy.catalogue import parameters_of, profile_of_name


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", 72), ("qwen3-235b-a22b", 235), ("phi-3-mini-4k-instruct", 3.8),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 47), ("llama3.2:3b", 3), ("gemma-2-2b-it", 2), ("Yi-1.5-9B-Chat", 9),
        ("SmolLM2-135M-Instruct", None), ("gpt-6-luna", None), ("model-4bit", None), ("", None),
    ],
)  # fmt: skip
def test_the_size_of_a_model_follows_from_its_name(name: str, billions: float | None) -> None:
    assert parameters_of(name) == billions
    profile = profile_of_name(name)
    assert (profile.parameters if profile else None) == billions
