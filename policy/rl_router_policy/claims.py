"""The claims of an artefact: what the guard found for a set of targets and a value of a good answer.

The file `guard.json` beside the manifest of an artefact contains the claims with their evidence. A reader computes each
verdict again from the evidence, at the present prices. The file's verdicts and bounds are a record for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from .errors import ArtefactError
from .evidence import Evidence, Identity
from .evidence_json import BadEvidenceError, evidence_as_json, evidence_from
from .guard import Judgement, judge, level_of
from .situation import Price
from .value import STEPS

FILE = "guard.json"
FORMAT = 1
MAX_BYTES = 64 * 1024 * 1024
MAX_CLAIMS = 16


@dataclass(frozen=True)
class Claim:
    """The claim that a policy is better than each constant, at one value of a good answer.

    The attribute `units` is the value in units, or None if no target has a price above 0. The attribute `test` is the
    number of the test on the same prompts, from which the level follows.
    """

    evidence: Evidence
    units: int | None
    test: int

    def judged(self, prices: Mapping[Identity, Price], unit: float | None, margin: float) -> Judgement | None:
        """Returns the verdict for the targets in `prices`, at their prices and with the unit `unit` in US dollars.

        Targets without evidence are left out. Returns None if fewer than two targets have evidence.
        """
        evidence = self.evidence.only(list(prices))
        if len(evidence.targets) < 2:
            return None
        present = [prices[target] for target in evidence.targets]
        differences = evidence.differences(present, worth_of(self.units, unit))
        return judge(differences, evidence.names, level_of(self.test), margin)

    def tested(self, margin: float) -> Judgement | None:
        """Returns the verdict for all targets of the evidence, at the prices of the evidence."""
        prices = dict(zip(self.evidence.targets, self.evidence.prices, strict=True))
        return self.judged(prices, self.evidence.unit, margin)


@dataclass(frozen=True)
class Claims:
    """The content of `guard.json`. The attribute `revision` counts the tests in a folder of artefacts."""

    artefact: str
    revision: int
    claims: tuple[Claim, ...] = ()

    def at(self, units: int | None) -> Claim | None:
        """Returns the claim for a value of a good answer in units, or None if no claim is about this value."""
        return next((claim for claim in self.claims if claim.units == units), None)

    def with_claims(self, claims: Sequence[Claim], revision: int) -> Claims:
        """Returns the claims together with newer claims, which replace older claims for the same values."""
        newer = {claim.units for claim in claims}
        kept = [claim for claim in self.claims if claim.units not in newer]
        return replace(self, revision=revision, claims=(*claims, *kept))


def worth_of(units: int | None, unit: float | None) -> float | None:
    """Returns the value of a good answer in US dollars, or None if costs do not count."""
    return None if units is None or unit is None else units * unit


def claims_as_text(claims: Claims, margin: float) -> str:
    """Returns the content of the file `guard.json`, with the verdicts at the prices of the evidence."""
    distinct = list({id(claim.evidence): claim.evidence for claim in claims.claims}.values())
    fields = {
        "format": FORMAT,
        "artefact": claims.artefact,
        "revision": claims.revision,
        "claims": [_claim_as_json(claim, distinct, margin) for claim in claims.claims],
        "evidence": [evidence_as_json(evidence) for evidence in distinct],
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False) + "\n"


def read_claims(folder: Path, artefact: str, trained_on: Iterable[str]) -> Claims | None:
    """Returns the claims of the artefact in a folder, or None if the folder has no file `guard.json`.

    The argument `artefact` is the hash of the artefact, and `trained_on` contains the short keys of the prompts on
    which the artefact was trained. Raises ArtefactError if the file is damaged, too large or about another artefact, or
    if the artefact was trained on a prompt of the evidence. Raises OSError if the file cannot be read.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        _check_size(file)
        return _checked(_claims(json.loads(file.read_bytes()), artefact), frozenset(trained_on))
    except BadEvidenceError as error:
        message = f"{file}: {error}. Promote the artefact again, or delete the file"
        raise ArtefactError(f"{message}: then the policy is unproven") from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{file}: is not JSON: {error}. Promote the artefact again, or delete the file") from None


def _claim_as_json(claim: Claim, evidence: Sequence[Evidence], margin: float) -> Mapping[str, object]:
    found = claim.tested(margin)
    gains = {gain.constant: _gain_as_json(gain.mean, gain.bound) for gain in found.gains} if found else {}
    return {
        "units": claim.units,
        "test": claim.test,
        "evidence": next(at for at, each in enumerate(evidence) if each is claim.evidence),
        "level": level_of(claim.test),
        "margin": margin,
        "value": worth_of(claim.units, claim.evidence.unit),
        "verdict": found.verdict if found else "unproven",
        "gains": gains,
    }


def _gain_as_json(mean: float, bound: float) -> list[float | None]:
    return [round(number, 6) if isfinite(number) else None for number in (mean, bound)]


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise BadEvidenceError("the size", f"{size} bytes", f"at most {MAX_BYTES} bytes")


def _checked(claims: Claims, trained_on: frozenset[str]) -> Claims:
    """Returns the claims. Raises BadEvidenceError if the artefact was trained on a prompt of the evidence.

    Evidence from parts of the training table is allowed, because no policy predicted its own training prompts.
    """
    for claim in claims.claims:
        known = [] if claim.evidence.folds else [key for key in claim.evidence.prompts if key in trained_on]
        if known:
            found = f"about {len(known)} prompts that the artefact was trained on, such as {known[0]}"
            raise BadEvidenceError("the evidence", found, "about other prompts")
    return claims


def _claims(fields: Any, artefact: str) -> Claims:
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        found = fields.get("format") if isinstance(fields, dict) else None
        raise BadEvidenceError("`format`", repr(found), str(FORMAT))
    if fields.get("artefact") != artefact:
        raise BadEvidenceError("`artefact`", repr(fields.get("artefact"))[:80], f"`{artefact}`, this artefact's hash")
    listed, described = [_list(fields, name) for name in ("claims", "evidence")]
    evidence = [evidence_from(each, f"evidence[{at}]") for at, each in enumerate(described)]
    claims = tuple([_claim(each, f"claims[{at}]", evidence) for at, each in enumerate(listed)])
    return Claims(artefact, _count(fields, "revision", "revision"), claims)


def _claim(fields: Any, path: str, evidence: Sequence[Evidence]) -> Claim:
    if not isinstance(fields, dict):
        raise BadEvidenceError(f"`{path}`", repr(fields)[:80], "an object")
    units, at = fields.get("units"), fields.get("evidence")
    if units is not None and (isinstance(units, bool) or units not in STEPS):
        raise BadEvidenceError(f"`{path}.units`", repr(units)[:80], f"null or one of {', '.join(map(str, STEPS))}")
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < len(evidence):
        raise BadEvidenceError(f"`{path}.evidence`", repr(at)[:80], "a position in the list `evidence`")
    return Claim(evidence[at], units, _count(fields, "test", f"{path}.test"))


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list) or len(value) > MAX_CLAIMS:
        raise BadEvidenceError(f"`{name}`", "no list of this length", f"a list of at most {MAX_CLAIMS} objects")
    return value


def _count(fields: Mapping[str, Any], name: str, path: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise BadEvidenceError(f"`{path}`", repr(value)[:80], "a whole number above 0")
    return value
