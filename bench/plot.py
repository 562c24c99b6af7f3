"""Draws the CPU time per request of each server in three cases as a bar chart in `bench/results.svg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from report import ROUTER, Measurement, bars

_PLOT = Path(__file__).with_name("results.svg")
_ROW, _LEFT, _WIDTH, _TOP = 22, 310, 520, 40
_MINIMUM, _MAXIMUM = 50.0, 50_000.0


def write_plot(measurements: Sequence[Measurement]) -> None:
    """Writes the chart of the CPU time per request with 64 connections, in microseconds on a logarithmic scale."""
    shown = bars(measurements)
    height = _TOP + _ROW * len(shown) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 70}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="16">microseconds of CPU per request, 64 connections (logarithmic)</text>',
        *(_grid_line(value, height) for value in (100, 1_000, 10_000)),
        *(_bar(row, name, value) for row, (name, value) in enumerate(shown)),
        "</svg>",
    ]
    _PLOT.write_text("\n".join(parts) + "\n")


def _x(value: float) -> float:
    return _LEFT + _WIDTH * math.log(max(value, _MINIMUM) / _MINIMUM) / math.log(_MAXIMUM / _MINIMUM)


def _grid_line(value: float, height: int) -> str:
    x = _x(value)
    line = f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{_TOP - 6}" y2="{height - 8}" stroke="#ddd"/>'
    return line + f'<text x="{x:.0f}" y="{_TOP - 10}" fill="#777" text-anchor="middle">{value:,}</text>'


def _bar(row: int, name: str, value: float) -> str:
    y = _TOP + row * _ROW
    color = "#2b6cb0" if name.startswith(ROUTER) else "#a0aec0"
    return (
        f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{_LEFT}" y="{y + 2}" width="{_x(value) - _LEFT:.0f}" height="{_ROW - 6}" fill="{color}"/>'
        f'<text x="{_x(value) + 6:.0f}" y="{y + 14}">{value:,.0f}</text>'
    )
