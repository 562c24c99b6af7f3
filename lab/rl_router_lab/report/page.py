"""Writes a report as one HTML page without scripts and without links to other files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..evaluation import Outcomes
from ..table import Table
from . import charts
from .changes import Change, Interval
from .examples import Example

_MAX_TEXT = 400
_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; } .lead { font-size: 1.15rem; } pre { white-space: pre-wrap; margin: 0; }"""


def page(
    report: Mapping[str, Any],
    table: Table,
    outcomes: Outcomes,
    changes: Sequence[Change],
    examples: tuple[list[Example], list[Example]],
) -> str:
    """Returns the page. The argument `report` contains the figures of the command `evaluate`."""
    gains = {name: task["aiq_gain"] for name, task in report["tasks"].items() if name}
    parts = [
        _head(report),
        _summary(report, changes),
        _section("Quality and cost", charts.curve(outcomes, table.models), _CURVE),
        _section("What changes", *[_change(each) for each in changes]),
        _section("Baselines", _baselines(report)),
        _section("Calibration", charts.calibration(outcomes), _calibration(report)),
        _section("Tasks", charts.tasks(gains), _tasks(report)) if gains else "",
        _section("Examples", *_examples(examples)),
        "</main></body></html>\n",
    ]
    return "\n".join([part for part in parts if part])


_CURVE = (
    "<p>Each point of the policy is one weight of the cost. The lines are the upper hulls of the points. Where the"
    " policy's line is above the other line, no mixture of single models is as good at the same cost.</p>"
)


def _head(report: Mapping[str, Any]) -> str:
    title = "What routing would change"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{title}</h1><p>Artefact {escape(report['artefact'][:16])}, measured on {report['prompts']:,} prompts"
        f" {_origin(report['folds'])}. {report['trained_prompts_left_out']:,} prompts of the training were left out."
        " All intervals are 95 % intervals.</p>"
    )


def _origin(folds: int) -> str:
    """Returns which prompts the artefact was measured on."""
    if not folds:
        return "that the artefact was not trained on"
    return (
        f"of the artefact's own training table. The prompts were divided into {folds} parts, and each part was measured"
        " with a policy that was trained only on the other parts"
    )


def _summary(report: Mapping[str, Any], changes: Sequence[Change]) -> str:
    constants = report["constants"]
    best = min(constants, key=lambda name: (-constants[name]["score"], constants[name]["cost"]))
    gain, gain_low, gain_high = report["aiq_gain"]
    sure = (
        "is clear of 0" if gain_low > 0 else "contains 0, so the gain may be chance" if gain_high > 0 else "is below 0"
    )
    proven = [change for change in changes if all(each.utility.low > 0 for each in change.against)]
    better = ", ".join([change.goal for change in proven]) or "none"
    return (
        f'<p class="lead">{_match(report, best)} The AIQ gain is {gain:+.4f} ({gain_low:+.4f} to {gain_high:+.4f}).'
        f" The interval {sure}. Goals with which the mean utility is above that of every single model, with the whole"
        f" interval: {better}.</p>"
    )


def _match(report: Mapping[str, Any], best: str) -> str:
    match, low, high = report["match"]
    if match is None or low is None:
        return f"The policy does not reach the quality of the best single model, {escape(best)}."
    return (
        f"The policy reaches the quality of the best single model, {escape(best)}, at {match:.0%} of its cost (interval"
        f" {low:.0%} to {high:.0%})."
    )


def _change(change: Change) -> str:
    shares = ", ".join([f"{escape(name)} {share:.0%}" for name, share in change.shares.items() if share > 0])
    rows = [
        (
            each.model,
            _interval(each.score),
            "free" if each.cost is None else f"{each.cost - 1:+.0%}",
            _interval(each.utility),
        )
        for each in change.against
    ]
    return (
        f"<h3>Goal {change.goal}: a good answer is worth {change.value:.3g} USD</h3><p>Mean score {change.score:.4f},"
        f" mean cost {change.cost:.4g} USD. Chosen models: {shares}.</p>"
        + _table(("compared with", "score", "cost", "utility"), rows)
    )


def _interval(interval: Interval) -> str:
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _baselines(report: Mapping[str, Any]) -> str:
    constants = [(name, f"{each['score']:.4f}", f"{each['cost']:.4g}") for name, each in report["constants"].items()]
    others = [
        (
            name.replace("_", " "),
            f"{each['aiq_gain']:+.4f}",
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*each["policy_is_better_by"]),
        )
        for name, each in report["baselines"].items()
    ]
    return _table(("single model", "mean score", "mean cost (USD)"), constants) + _table(
        ("baseline", "AIQ gain", "the policy's AIQ is higher by"), others
    )


def _calibration(report: Mapping[str, Any]) -> str:
    rows = [
        (label, "{:.4f} ({:.4f} to {:.4f})".format(*report[name]))
        for label, name in (("Brier score", "brier"), ("expected calibration error", "calibration_error"))
    ]
    auroc = report["auroc"]
    rows.append(("AUROC within task and model", "too few prompts" if auroc is None else f"{auroc:.4f}"))
    return _table(("measure", "value"), rows)


def _tasks(report: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{each['prompts']:,}", f"{each['aiq_gain']:+.4f}") for name, each in report["tasks"].items() if name
    ]
    return _table(("task", "prompts", "AIQ gain"), rows)


def _examples(examples: tuple[list[Example], list[Example]]) -> Iterable[str]:
    titles = ("Prompts on which the policy gains most", "Prompts on which the policy loses most")
    for title, found in zip(titles, examples, strict=True):
        yield f"<h3>{title}</h3>"
        yield "".join([_example(each) for each in found]) or "<p>There is no such prompt.</p>"


def _example(example: Example) -> str:
    text = example.text if len(example.text) <= _MAX_TEXT else f"{example.text[:_MAX_TEXT]}…"
    names = (f"{example.chosen} (chosen)", f"{example.constant} (best single model)")
    numbers = zip(names, example.qualities, example.scores, example.costs, strict=True)
    rows = [(name, f"{quality:.2f}", f"{score:.2f}", f"{cost:.4g}") for name, quality, score, cost in numbers]
    task = f"<p>Task: {escape(example.task)}</p>" if example.task else ""
    head = ("model", "predicted quality", "score", "cost (USD)")
    return f"<article>{task}<pre>{escape(text)}</pre>{_table(head, rows)}</article>"


def _section(title: str, *parts: str) -> str:
    return "\n".join([f"<section><h2>{title}</h2>", *parts, "</section>"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns an HTML table. The first column contains names, and the other columns contain numbers."""
    titles = "".join([f'<th scope="col">{escape(title)}</th>' for title in head])
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join([f'<td class="number">{escape(cell)}</td>' for cell in rest])
        + "</tr>"
        for first, *rest in rows
    ]
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
