"""Charts as the server draws them: numbers over time as a line, states over time as a band. Pure.

Every chart is also a table: a picture alone tells nothing to who cannot see it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healtharchive.model.courses import Moment
from healtharchive.model.journal import Event

WIDTH, HEIGHT = 640, 160  # of what is drawn in, without the labels around it
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One line over time. `points` are those of the drawing, `top` is the value at its upper edge.

    `fall` is the same line closed at the bottom, as an area.
    """

    key: str
    values: tuple[tuple[datetime, float], ...]
    top: float
    points: str
    fall: str

    @property
    def first_at(self) -> datetime:
        return self.values[0][0]

    @property
    def last_at(self) -> datetime:
        return self.values[-1][0]

    @property
    def last(self) -> float:
        return self.values[-1][1]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in one state; `x` and `width` are shares of a thousand of the whole band."""

    state: str
    since: datetime
    until: datetime
    why: str
    x: float
    width: float


def charts_of(course: Sequence[Moment]) -> list[Chart]:
    """Pages, bytes, errors and the rates of pages and errors; none before there are two moments."""
    if len(course) < 2:
        return []
    done = [(each.at, float(each.urls_done)) for each in course]
    failed = [(each.at, float(each.urls_failed)) for each in course]
    written = [(each.at, float(each.bytes_written)) for each in course]
    return [
        chart("pages", done),
        chart("bytes", written),
        chart("errors", failed),
        chart("pages_per_minute", rates(done)),
        chart("errors_per_minute", rates(failed)),
    ]


def rates(values: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """By how much a number grew a minute, between each two moments. It never grew backwards."""
    return [
        (
            after[0],
            max(0.0, after[1] - before[1])
            / max((after[0] - before[0]).total_seconds() / MINUTE, 1e-9),
        )
        for before, after in itertools.pairwise(values)
    ]


def chart(key: str, values: Sequence[tuple[datetime, float]]) -> Chart:
    """The line through these values, from zero up."""
    top = ceiling(max(value for _, value in values))
    begin, end = values[0][0], values[-1][0]
    span = (end - begin).total_seconds() or 1.0
    places = [
        (
            round(WIDTH * (at - begin).total_seconds() / span, 1),
            round(HEIGHT - HEIGHT * value / top, 1),
        )
        for at, value in values
    ]
    points = " ".join(f"{x:g},{y:g}" for x, y in places)
    fall = f"0,{HEIGHT} {points} {places[-1][0]:g},{HEIGHT}"
    return Chart(key, tuple(values), top, points, fall)


def ceiling(value: float) -> float:
    """A round number that is not below a value: 1, 2 or 5 times a power of ten."""
    if value <= 1.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value)


def band(
    events: Sequence[Event], now_state: str, since: datetime, until: datetime
) -> list[Stretch]:
    """The states of one thing from `since` to `until`, by the events (oldest first) between."""
    changes = [each for each in events if each.to_state and since <= each.at <= until]
    state = (changes[0].from_state or changes[0].to_state) if changes else now_state
    whole = (until - since).total_seconds() or 1.0
    stretches: list[Stretch] = []
    began, why = since, ""
    ends: list[tuple[datetime, str, str]] = [
        (each.at, each.to_state or "", each.why) for each in changes
    ]
    for at, following, reason in [*ends, (until, "", "")]:
        if at > began or not following:
            x = 1000 * (began - since).total_seconds() / whole
            width = 1000 * (at - began).total_seconds() / whole
            stretches.append(Stretch(state or "", began, at, why, round(x, 2), round(width, 2)))
        began, state, why = at, following, reason
    return stretches
