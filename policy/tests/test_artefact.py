"""Loading an artefact: a damaged artefact is rejected with an error of one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rl_router_policy.artefact import MANIFEST, POLICY, VERIFIER, Artefact, load_artefact
from rl_router_policy.errors import ArtefactError
from rl_router_policy.features import NO_CONTEXT
from rl_router_policy.folder import BUNDLED
from rl_router_policy.profile import Profile
from rl_router_policy.verifier import Verifier
from safetensors.numpy import load_file

from fakes.policy.artefacts import EMBEDDING, ITEM, save, write_artefact
from fakes.policy.varied import write_varied_artefact
from fakes.policy.verifiers import verifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_artefact(tmp_path / "a", {"alpha": 0.9})


def test_an_artefact_has_the_hash_of_its_manifest(folder: Path, tmp_path: Path) -> None:
    other = write_artefact(tmp_path / "b", {"alpha": 0.8})
    hashes = {load_artefact(each, EMBEDDING).hash for each in (folder, folder, other)}
    assert len(hashes) == 2


def refused(folder: Path) -> str:
    with pytest.raises(ArtefactError) as error:
        load_artefact(folder, EMBEDDING)
    message = str(error.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / POLICY).unlink()
    assert POLICY in refused(folder)


def test_a_changed_file_is_refused(folder: Path) -> None:
    file = folder / POLICY
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "SHA-256" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"embedding": "0"}, "another word embedding"),
        ({"targets": []}, ""),
        ({"files": 5}, ""),
    ],
)
def test_an_artefact_that_does_not_fit_is_refused(folder: Path, changes: dict[str, object], words: str) -> None:
    _change_manifest(folder, changes)
    assert words in refused(folder)


@pytest.mark.parametrize("stage", ["outcomes", "gradient"])
def test_an_artefact_with_too_few_vectors_is_refused(tmp_path: Path, stage: str) -> None:
    name = f"{stage}.vectors"
    vectors = np.zeros((1, 1, ITEM), np.float32)
    folder = write_varied_artefact(tmp_path / "a", ["alpha", "beta"], tensors={name: vectors})
    assert f"{name} has the shape (1, 1, {ITEM}), not (2, 1, {ITEM})" in refused(folder)


def test_an_artefact_without_a_verifier_is_complete(folder: Path) -> None:
    assert load_artefact(folder, EMBEDDING).verifier is None


def test_the_verifier_of_an_artefact_is_loaded(tmp_path: Path) -> None:
    judge = verifier({"quality": 0.5}, {"share": 2.0})
    loaded = load_artefact(write_artefact(tmp_path / "a", {"alpha": 0.9}, verifier=judge), EMBEDDING).verifier
    assert loaded is not None
    assert np.array_equal(loaded.alone.weights, judge.alone.weights)
    assert np.array_equal(loaded.compared.weights, judge.compared.weights)


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (verifier({"quality": np.nan}, {}), "`alone.weights` contains a number that is not finite"),
        (replace(verifier({}, {}), compared=verifier({}, {}).alone), "`compared.means` has the shape"),
    ],
)
def test_an_artefact_with_a_wrong_verifier_is_refused(tmp_path: Path, judge: Verifier, words: str) -> None:
    assert words in refused(write_artefact(tmp_path / "a", {"alpha": 0.9}, verifier=judge))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / VERIFIER).unlink(), "cannot be read"),
        (lambda folder: (folder / VERIFIER).write_bytes(b"?"), "SHA-256"),
        (lambda folder: _change_manifest(folder, {"verifier": {"format": 2}}), "has the format 2, not 1"),
        (lambda folder: _change_manifest(folder, {"verifier": {}}), "has no 'format'"),
    ],
)
def test_an_artefact_with_a_damaged_verifier_is_refused(
    tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.9}, verifier=verifier({}, {}))
    change(folder)
    assert words in refused(folder)


def _change_manifest(folder: Path, changes: dict[str, object]) -> None:
    file = folder / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "\0"])
def test_a_manifest_that_is_not_json_is_rejected(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    assert "damaged" in refused(folder)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("targets", [{"name": 5}], "the names of the targets must be different texts"),
        ("targets", [{"name": "alpha"}] * 2, "the names of the targets must be different texts"),
        ("targets", [{"name": "alpha"}, {"name": "beta"}], "lengths.factors has the shape (1,), not (2,)"),
        ("neighbours", {"count": 0, "weight": 0.5}, "the number of neighbours is 0, not an integer above 0"),
        ("neighbours", {"count": 9, "weight": 2}, "the weight of the neighbours is 2, not a number from 0 to 1"),
        ("neighbours", {"count": 9, "weight": float("nan")}, "the weight of the neighbours is nan"),
    ],
)
def test_a_wrong_field_of_the_manifest_is_named(folder: Path, field: str, value: object, words: str) -> None:
    file = folder / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    assert words in refused(folder)


TENSORS = sorted(load_file(BUNDLED / "artefact" / POLICY))


@pytest.mark.parametrize("name", [name for name in TENSORS if not name.startswith("gradient")])
def test_a_tensor_with_another_shape_or_without_a_number_is_refused(tmp_path: Path, name: str) -> None:
    usual = load_file(write_artefact(tmp_path / "usual", {"alpha": 0.9}) / POLICY)[name]
    wrong = {"shape": np.zeros((7, *usual.shape), np.float32), "not finite": np.full_like(usual, np.nan)}
    for words, tensor in wrong.items():
        message = refused(write_artefact(tmp_path / words, {"alpha": 0.9}, tensors={name: tensor}))
        assert name in message
        assert words in message


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({"keys": np.zeros((5, 7), np.float16)}, "keys has the shape (5, 7), not (5, 82)"),
        ({"keys": np.full((5, 82), np.inf, np.float16)}, "keys contains a number that is not finite"),
        ({"scores": np.zeros(5, np.uint8)}, "scores has the shape (5,), not (5, 1)"),
        ({"scores": np.zeros((5, 1), np.float32)}, "scores has the type float32, not uint8"),
    ],
)
def test_a_damaged_memory_is_refused(tmp_path: Path, memory: dict[str, np.ndarray], words: str) -> None:
    policy = load_file(write_artefact(tmp_path / "usual", {"alpha": 0.9}) / POLICY)
    usual = {"keys": np.zeros((5, 82), np.float16), "scores": np.zeros((5, 1), np.uint8)}
    neighbours = {"count": 3, "weight": 0.5}
    load_artefact(save(tmp_path / "good", ["alpha"], policy, usual, prompts=5, neighbours=neighbours), EMBEDDING)
    damaged = save(tmp_path / "bad", ["alpha"], policy, {**usual, **memory}, prompts=5, neighbours=neighbours)
    assert words in refused(damaged)


def test_an_artefact_never_replaces_another(folder: Path) -> None:
    with pytest.raises(OSError, match="not empty"):
        write_artefact(folder, {"alpha": 0.5})
    load_artefact(folder, EMBEDDING)


def bundled() -> Artefact:
    return load_artefact(BUNDLED / "artefact", EMBEDDING)


def test_the_bundled_artefact_was_trained_on_public_tables_without_gsm8k() -> None:
    artefact = bundled()
    tables = artefact.manifest["tables"]
    assert {table["file"]: table["licence"] for table in tables} == {
        "llmrouter.jsonl.gz": "MIT",
        "mmlu-pro.jsonl.gz": "Apache-2.0",
        "zeroeval.jsonl.gz": "Apache-2.0",
    }
    assert artefact.manifest["left_out"] == ["overlaps=gsm8k", "task=ze_gsm", "task=lr_agentverse-mgsm"]
    assert len(artefact.manifest["trained_on"]) > 10_000


def test_the_bundled_artefact_prefers_a_strong_model_for_a_hard_question() -> None:
    hard = "Let f be a polynomial of degree 4 with integer coefficients. How many real roots can f(f(x)) - x have?"
    known = [("gemini-1.5-pro-002", Profile()), ("Mistral-7B-Instruct-v0.2", Profile())]
    strong, weak = bundled().predictor.predict(hard, NO_CONTEXT, known)
    assert strong.quality > weak.quality + 0.1
