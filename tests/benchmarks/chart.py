"""Draws the measures that are compared with bare as bars of an SVG: bare itself is a line."""

from __future__ import annotations

import html
from collections.abc import Sequence

_ROW, _LABEL, _BAR, _AT_MOST = 22, 300, 360, 10.0
"""Height of a row, width of the labels and of the longest bar, in pixels; and the ratio at which bars end."""


def svg(measures: Sequence[tuple[str, float]]) -> str:
    """Return a chart of names and ratios, the smallest first. Ratios above 10 end at the edge, with their number."""
    rows = sorted(measures, key=lambda one: one[1])
    most = min(_AT_MOST, max((1.0, *(value for _, value in rows))))
    height, one = _ROW * len(rows) + 30, _LABEL + _BAR / most
    bars, texts = [], []
    for number, (name, value) in enumerate(rows):
        top, length = _ROW * number, _BAR * min(value, most) / most
        bars.append(f'<rect x="{_LABEL}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 6}" fill="#4878a8"/>')
        texts.append(f'<text x="{_LABEL - 8}" y="{top + 15}" text-anchor="end">{html.escape(name)}</text>')
        texts.append(f'<text x="{_LABEL + length + 6:.1f}" y="{top + 15}">{value:.{2 if value < 10 else 0}f}</text>')
    line = f'<path d="M{one:.1f} 0V{height - 22}" stroke="#000" stroke-dasharray="3"/>'
    label = f'<text x="{one:.1f}" y="{height - 8}" text-anchor="middle">python main.py = 1</text>'
    size = f'width="{_LABEL + _BAR + 70}" height="{height}"'
    style = 'font-family="sans-serif" font-size="12"'
    above_the_line = '<g paint-order="stroke" stroke="#fff" stroke-width="4">'
    drawn = ['<rect width="100%" height="100%" fill="#fff"/>', *bars, line, above_the_line, *texts, label, "</g>"]
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n' + "\n".join(drawn) + "\n</svg>\n"
