"""Draws the charts of a report as SVG. The same figures give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation import Outcomes
from ..measures import hull

_STYLE: Any = {
    "svg.hashsalt": "rl-router",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_POLICY, _OTHER = "#0b6e4f", "#555555"
_BINS = 10


def curve(outcomes: Outcomes, models: Sequence[str]) -> str:
    """Returns the chart of quality over cost: the policy's curve and hull, and each model as a constant."""
    figure, axes = _axes((7.0, 4.5))
    routed = outcomes.routed()
    costs, scores = routed.chosen_costs.mean(axis=1), routed.chosen_scores.mean(axis=1)
    constant_costs, constant_scores = outcomes.costs.mean(axis=0), outcomes.scores.mean(axis=0)
    dearest = float(max(constant_costs.max(), costs.max()))
    for points, colour, label in (
        ((constant_costs, constant_scores), _OTHER, "mixtures of single models"),
        ((costs, scores), _POLICY, "policy"),
    ):
        line = hull(*points)
        axes.plot(
            [*line.costs, dearest], [*line.qualities, line.qualities[-1]], color=colour, linewidth=1.5, label=label
        )
    axes.plot(costs, scores, ".", color=_POLICY, markersize=4)
    axes.plot(constant_costs, constant_scores, "o", color=_OTHER, markersize=5)
    for name, cost, score in zip(models, constant_costs, constant_scores, strict=True):
        axes.annotate(name, (cost, score), xytext=(5, -10), textcoords="offset points", fontsize=8, color=_OTHER)
    axes.set_xlabel("mean cost of an answer (USD)")
    axes.set_ylabel("mean score")
    axes.legend(loc="lower right", frameon=False)
    return _svg(figure, "Quality over cost of the policy and of each single model")


def calibration(outcomes: Outcomes) -> str:
    """Returns the chart of the mean score over the mean predicted quality, in 10 bins of equal size."""
    figure, axes = _axes((4.5, 4.5))
    predicted, scores = outcomes.predictions.qualities.ravel(), outcomes.scores.ravel()
    bins = np.array_split(np.argsort(predicted, kind="stable"), _BINS)
    axes.plot([0, 1], [0, 1], color=_OTHER, linewidth=1, linestyle="--")
    axes.plot([predicted[rows].mean() for rows in bins], [scores[rows].mean() for rows in bins], "o-", color=_POLICY)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("predicted quality")
    axes.set_ylabel("mean score")
    return _svg(figure, "Mean score over predicted quality")


def tasks(gains: Mapping[str, float]) -> str:
    """Returns the chart of the AIQ gain of each task."""
    figure, axes = _axes((7.0, 0.6 + 0.35 * len(gains)))
    names = sorted(gains, reverse=True)
    axes.barh(names, [gains[name] for name in names], color=_POLICY, height=0.6)
    axes.axvline(0, color=_OTHER, linewidth=1)
    axes.set_xlabel("AIQ gain")
    return _svg(figure, "AIQ gain of each task")


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Figure, title: str) -> str:
    """Returns a figure as an SVG element with a title for screen readers."""
    written = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    element = written.getvalue()
    element = element[element.index("<svg") :]
    head, end, rest = element.partition(">")
    return f'{head} role="img" aria-label="{title}"{end}{rest}'
