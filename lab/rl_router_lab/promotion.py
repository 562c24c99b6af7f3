"""Promotes an artefact: copies it into a folder of artefacts if the guard finds it better than each constant."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.claims import FILE, Claim, Claims, claims_as_text, read_claims
from rl_router_policy.evidence import Evidence
from rl_router_policy.folder import MANIFEST, newest_first
from rl_router_policy.guard import Judgement

from .errors import LabError
from .promotion_record import Record, Test, open_record, write_whole

_PARTIAL = ".promotion."
"""The beginning of the names of incomplete folders. Servers ignore folders whose names begin with a dot."""


@dataclass(frozen=True)
class Candidate:
    """An artefact that may be promoted, with the evidence about it."""

    folder: Path
    artefact: Artefact
    evidence: Evidence
    margin: float


@dataclass(frozen=True)
class Result:
    """What the guard found at each value of a good answer, and the new folder of the artefact if it was promoted."""

    findings: tuple[Finding, ...]
    promoted: Path | None


@dataclass(frozen=True)
class Finding:
    """The claim about one value of a good answer, and the guard's judgement."""

    claim: Claim
    judgement: Judgement

    @property
    def serves(self) -> bool:
        return self.judgement.verdict != "unproven"


def promote(candidate: Candidate, units: Sequence[int | None], to: Path, *, force: bool = False) -> Result:
    """Tests an artefact at some values of a good answer, and copies it to a new folder in `to` if it passes all tests.

    If `force` is true, an artefact that fails is copied too, and its manifest says so. Raises LabError if `to` is an
    artefact itself or its record of tests is damaged.
    """
    if (to / MANIFEST).exists():
        raise LabError(f"{to}: is an artefact. Pass a folder that contains artefacts with --to")
    with open_record(to) as record:
        # The tests are recorded before anybody can see their results.
        claims = [_counted(candidate, each, record) for each in units]
        record.revision += 1
        record.save()
        findings = tuple([_finding(candidate, claim) for claim in claims])
        passed = all(finding.serves for finding in findings)
        folder = _copy(candidate, claims, record, to, forced=not passed) if passed or force else None
    return Result(findings, folder)


def _counted(candidate: Candidate, units: int | None, record: Record) -> Claim:
    number = record.count(Test(candidate.artefact.hash, units, candidate.evidence))
    return Claim(candidate.evidence, units, number)


def _finding(candidate: Candidate, claim: Claim) -> Finding:
    judgement = claim.tested(candidate.margin)
    if judgement is None:
        raise LabError("the evidence has fewer than two models. Pass a table with more models")
    return Finding(claim, judgement)


def _copy(candidate: Candidate, claims: Sequence[Claim], record: Record, to: Path, *, forced: bool) -> Path:
    """Copies the artefact to a new folder in `to`, writes the claims into the copy, and returns the new folder.

    The new folder appears only when it is complete and was read once.
    """
    _remove_incomplete(to)
    with _partial(to) as partial:
        content = (candidate.folder / MANIFEST).read_bytes()
        if forced:
            content = _forced(candidate.artefact.manifest)
        for name in candidate.artefact.manifest["files"]:
            shutil.copyfile(candidate.folder / name, partial / name)
        (partial / MANIFEST).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        found = _earlier(to, digest, candidate.artefact.manifest["trained_on"]).with_claims(claims, record.revision)
        write_whole(partial / FILE, claims_as_text(found, candidate.margin))
        load_artefact(partial, candidate.artefact.predictor.embedding)
        return partial.rename(to / f"{digest[:12]}-{record.revision}")


def _forced(manifest: Mapping[str, object]) -> bytes:
    return (json.dumps({**manifest, "forced": True}, indent=1, ensure_ascii=False) + "\n").encode()


def _earlier(to: Path, artefact: str, trained_on: Sequence[str]) -> Claims:
    """Returns the claims of the newest copy of an artefact in a folder of artefacts."""
    for folder, _ in newest_first(to):
        if hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() == artefact:
            return read_claims(folder, artefact, trained_on) or Claims(artefact, 1)
    return Claims(artefact, 1)


def _remove_incomplete(to: Path) -> None:
    """Removes what an interrupted promotion has left. No other promotion runs, because the record is locked."""
    for folder in to.glob(f"{_PARTIAL}*"):
        shutil.rmtree(folder)


@contextmanager
def _partial(to: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=to))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
