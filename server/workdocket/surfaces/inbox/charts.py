"""Charts as inline SVG, drawn here. The numbers stand in a table beside each; colours are in the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from workdocket.domain.model import iso
from workdocket.service.flow import Hour

WIDTH, HEIGHT = 720, 180
LEFT, BOTTOM, TOP = 36, 22, 10


def bars(hours: Sequence[Hour], names: Sequence[str], label: str) -> Markup:
    """Bars side by side for each hour."""
    top = max([1, *(getattr(hour, name) for hour in hours for name in names)])
    top += top % 2
    slot = (WIDTH - LEFT) / len(hours)
    width = max((slot - 4) / len(names), 1)
    drawn = Markup("").join(
        Markup('<rect class="series-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            n, LEFT + i * slot + 2 + n * width, _y(getattr(hour, name), top), max(width - 1, 1),
            HEIGHT - BOTTOM - _y(getattr(hour, name), top),
        )
        for i, hour in enumerate(hours)
        for n, name in enumerate(names)
        if getattr(hour, name)
    )  # fmt: skip
    return _framed(hours, top, drawn, label)


def line(hours: Sequence[Hour], label: str) -> Markup:
    """A point for each hour with a wait, joined where hours follow on another."""
    minutes = [None if hour.waited is None else hour.waited / 60 for hour in hours]
    top = max([1.0, *(one for one in minutes if one is not None)])
    slot = (WIDTH - LEFT) / len(hours)
    points = [None if one is None else (LEFT + (i + 0.5) * slot, _y(one, top)) for i, one in enumerate(minutes)]
    joined = Markup("").join(
        Markup('<line class="wait" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(*a, *b)
        for a, b in pairwise(points)
        if a and b
    )
    dots = Markup("").join(
        Markup('<circle class="wait" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(*point) for point in points if point
    )
    return _framed(hours, top, joined + dots, label)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top)


def _framed(hours: Sequence[Hour], top: float, drawn: Markup, label: str) -> Markup:
    slot = (WIDTH - LEFT) / len(hours)
    grid = Markup("").join(
        Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
               '<text class="scale" x="{}" y="{:.1f}">{:g}</text>').format(
            LEFT, WIDTH, LEFT - 6, _y(value, top) + 4, round(value, 1), y=_y(value, top)
        )
        for value in ([0, top / 2, top] if top > 1 else [0, top])
    )  # fmt: skip
    times = Markup("").join(
        Markup('<text class="hour" x="{:.1f}" y="{}">{}</text>').format(
            LEFT + (i + 0.5) * slot, HEIGHT - 6, iso(hour.at)[11:16]
        )
        for i, hour in enumerate(hours)
        if i % 4 == 0
    )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, grid + times + drawn
    )
