"""Draws the measures that are compared with bare as bars of an SVG: bare itself is a line."""

from __future__ import annotations

import html
from collections.abc import Sequence

_ROW, _LABEL, _BAR, _AT_MOST = 22, 300, 360, 10.0
"""Height of a row, width of the labels and of the longest bar, in pixels; and the ratio at which bars end."""


def svg(measures: Sequence[tuple[str, float]]) -> str:
    """Return a chart of names and ratios, the smallest first. Ratios above 10 end at the edge, with their number."""
    rows = sorted(measures, key=lambda one: one[1])
    most = min(_AT_MOST, max((value for _, value in rows), default=1.0))
    height, one = _ROW * len(rows) + 30, _LABEL + _BAR / most
    bars = [
        f'<text x="{_LABEL - 8}" y="{_ROW * number + 15}" text-anchor="end">{html.escape(name)}</text>'
        f'<rect x="{_LABEL}" y="{_ROW * number + 3}" width="{_BAR * min(value, most) / most:.1f}" height="{_ROW - 6}" fill="#4878a8"/>'
        f'<text x="{_LABEL + _BAR * min(value, most) / most + 6:.1f}" y="{_ROW * number + 15}">{value:.2f}</text>'
        for number, (name, value) in enumerate(rows)
    ]
    line = f'<path d="M{one:.1f} 0V{height - 22}" stroke="#000" stroke-dasharray="3"/>'
    label = f'<text x="{one:.1f}" y="{height - 8}" text-anchor="middle">python main.py = 1</text>'
    size = f'width="{_LABEL + _BAR + 70}" height="{height}"'
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n' + "\n".join([*bars, line, label]) + "\n</svg>\n"
