"""The file `guard.json`: what is written can be read, and a damaged file is refused with one line."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl_router_policy.artefact import load_artefact
from rl_router_policy.claims import MAX_BYTES, Claim, Claims, claims_as_text, read_claims
from rl_router_policy.errors import ArtefactError
from rl_router_policy.evidence import Evidence, Identity
from rl_router_policy.situation import Price

from fakes.policy.artefacts import EMBEDDING, write_artefact
from fakes.policy.evidence import evidence, write_claims

NAMES = ("alpha", "beta")
PRICES = (Price(1.0, 2.0), Price(10.0, 20.0, 0.01))
HASH = "a" * 64


def found(prompts: int = 40, **fields: Any) -> Evidence:
    scores = np.tile([[1.0, 0.0], [0.0, 1.0]], (prompts // 2, 1))
    return evidence(NAMES, scores, scores * 0.3, PRICES, **fields)


def text(*stated: Claim) -> str:
    return claims_as_text(Claims(HASH, 3, stated), 0.02)


def test_claims_survive_a_file(tmp_path: Path) -> None:
    both = found(targets=(Identity("alpha", "a/1", "low"), Identity("beta", "b/1")))
    (tmp_path / "guard.json").write_text(text(Claim(both, 5, 1), Claim(both, None, 2)))
    read = read_claims(tmp_path, HASH, ())
    assert read is not None
    assert (read.artefact, read.revision, [claim.units for claim in read.claims]) == (HASH, 3, [5, None])
    first, second = read.claims
    assert first.evidence is second.evidence
    assert first.evidence.targets == both.targets
    assert first.evidence.prices == PRICES
    for name in ("input_tokens", "scores", "output_tokens", "costs", "preferences", "expected_tokens"):
        assert getattr(first.evidence, name) == pytest.approx(getattr(both, name))
    prices = dict(zip(both.targets, PRICES, strict=True))
    assert first.judged(prices, 0.01, 0.02) == Claim(both, 5, 1).judged(prices, 0.01, 0.02)


def test_without_a_file_there_are_no_claims(tmp_path: Path) -> None:
    assert read_claims(tmp_path, HASH, ()) is None


def test_a_claim_about_one_target_says_nothing() -> None:
    assert Claim(found(), 5, 1).judged({Identity("alpha", "alpha"): PRICES[0]}, 0.01, 0.02) is None


def test_a_newer_claim_replaces_the_claim_about_the_same_value() -> None:
    old = Claims(HASH, 1, (Claim(found(), 5, 1), Claim(found(), 50, 2)))
    new = old.with_claims([Claim(found(), 5, 3)], 2)
    assert ([(claim.units, claim.test) for claim in new.claims], new.revision) == ([(5, 3), (50, 2)], 2)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fields: fields.update(format=2), "`format` is 2, not 1"),
        (lambda fields: fields.update(artefact="b"), "`artefact` is 'b', not"),
        (lambda fields: fields.update(revision=0), "`revision` is 0, not a whole number above 0"),
        (lambda fields: fields.update(claims={}), "`claims` is"),
        (lambda fields: fields.update(claims=fields["claims"] * 17), "a list of at most 16"),
        (lambda fields: fields.update(evidence=[]), "`claims[0].evidence` is 0, not a position"),
        (lambda fields: fields["claims"][0].update(units=3), "`claims[0].units` is 3, not null or one of 1, 2, 5"),
        (lambda fields: fields["claims"][0].update(test=True), "`claims[0].test` is True"),
        (lambda fields: fields["evidence"][0]["scores"][0].pop(), "`evidence[0].scores[0]` is no list of this length"),
        (lambda fields: fields["evidence"][0]["scores"].pop(), "`evidence[0].scores` is a list of 1, not a list of 2"),
        (lambda fields: fields["evidence"][0]["scores"][1].__setitem__(3, 1.5), "a list with 1.5, not a list of"),
        (lambda fields: fields["evidence"][0]["costs"][1].__setitem__(3, float("nan")), "a list with nan"),
        (lambda fields: fields["evidence"][0]["costs"][1].__setitem__(3, "1"), "a list with other values"),
        (lambda fields: fields["evidence"][0]["prompts"].__setitem__(0, "no key"), "no list of different keys"),
        (lambda fields: fields["evidence"][0].update(folds=-1), "`evidence[0].folds` is -1"),
        (lambda fields: fields["evidence"][0]["targets"].reverse(), "not sorted by different names"),
        (lambda fields: fields["evidence"][0]["targets"][0].pop("model"), "`evidence[0].targets[0]` is without"),
        (lambda fields: fields["evidence"][0]["targets"][0].pop("price"), "`evidence[0].targets[0].price` is missing"),
        (lambda fields: fields["evidence"][0]["targets"][0].update(price={"input": -1, "output": 1}), "with -1"),
        (lambda fields: fields["evidence"][0]["targets"][0]["price"].update(request="1"), "a list with other values"),
    ],
)
def test_a_wrong_field_is_named_with_a_remedy(tmp_path: Path, change: Change, words: str) -> None:
    fields = copy.deepcopy(json.loads(text(Claim(found(), 5, 1))))
    change(fields)
    (tmp_path / "guard.json").write_text(json.dumps(fields))
    message = refused(tmp_path)
    assert words in message
    assert message.startswith(f"{tmp_path / 'guard.json'}: ")
    assert "Promote the artefact again, or delete the file" in message


def refused(folder: Path) -> str:
    with pytest.raises(ArtefactError) as error:
        read_claims(folder, HASH, ())
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '"\\ud800"', "\x00"])
def test_a_file_that_is_no_guard_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "guard.json").write_text(content)
    assert "guard.json: " in refused(tmp_path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "guard.json").touch()
    os.truncate(tmp_path / "guard.json", MAX_BYTES + 1)
    assert f"not at most {MAX_BYTES} bytes" in refused(tmp_path)


def test_an_artefact_is_loaded_with_its_claims(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.9, "beta": 0.6})
    before = load_artefact(folder, EMBEDDING)
    assert before.claims is None
    write_claims(folder, before.hash, [Claim(found(), 5, 1)])
    after = load_artefact(folder, EMBEDDING)
    assert after.hash == before.hash
    assert after.claims is not None
    assert after.claims.at(5) is not None


@pytest.mark.parametrize(("folds", "accepted"), [(0, False), (5, True)])
def test_evidence_on_training_prompts_is_refused_unless_it_comes_from_other_parts(
    tmp_path: Path, folds: int, accepted: bool
) -> None:
    tested = found(folds=folds)
    folder = write_artefact(tmp_path / "a", {"alpha": 0.9, "beta": 0.6}, trained_on=list(tested.prompts[:7]))
    write_claims(folder, load_artefact(folder, EMBEDDING).hash, [Claim(tested, 5, 1)])
    if accepted:
        assert load_artefact(folder, EMBEDDING).claims is not None
        return
    with pytest.raises(ArtefactError, match="about 7 prompts that the artefact was trained on"):
        load_artefact(folder, EMBEDDING)


def test_the_claims_of_another_artefact_are_refused(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.9, "beta": 0.6})
    write_claims(folder, HASH, [Claim(found(), 5, 1)])
    with pytest.raises(ArtefactError, match="this artefact's hash"):
        load_artefact(folder, EMBEDDING)
