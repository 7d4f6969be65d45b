"""The timeline of an incident: nothing is lost by folding."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.model.journal import Actor, Event
from healtharchive.steward.incident import draft
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_spans import lifeless, workless
from healtharchive.steward.incident_timeline import inline, lines
from tests.lab.conditions import process

BEGIN = datetime(2026, 1, 24, 6, tzinfo=UTC)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def event(number: int, seconds: int, subject: str, what: str, states: tuple[str, str] | None,
          caused_by: int | None = None) -> Event:  # fmt: skip
    """The event of that number."""
    before, after = states or (None, None)
    actor = Actor("healtharchive-steward.service", 1, "vps1")
    moment = BEGIN + timedelta(seconds=seconds)
    return Event(number, moment, actor, subject, "7", what, before, after, "why", {}, caused_by)


@st.composite
def journals(draw: st.DrawFn) -> list[Event]:
    """Events in order, some of which name an earlier one as their cause."""
    found: list[Event] = []
    seconds = 0
    for number in range(1, draw(st.integers(1, 60)) + 1):
        seconds += draw(st.sampled_from([0, 1, 15, 60, 2000]))
        subject = draw(st.sampled_from(["job", "target", "worker", "segment"]))
        what = draw(st.sampled_from(["claim", "park", "trip", "stopped", "started", "fail"]))
        states = draw(st.sampled_from([None, ("running", "parked"), ("parked", "running")]))
        cause = draw(st.none() | st.integers(1, number - 1)) if number > 1 else None
        found.append(event(number, seconds, subject, what, states, cause))
    return found


@settings(deadline=None)  # the machine may be busy
@given(journals())
def test_each_event_is_in_one_line_and_lines_are_in_order(told: list[Event]) -> None:
    found = lines(told)
    assert sorted(each.id for line in found for each in line.events) == [e.id for e in told]
    assert [line.event.at for line in found] == sorted(line.event.at for line in found)
    for line in found:
        assert len({(e.what, e.to_state, e.subject) for e in line.events}) == 1


@settings(deadline=None)
@given(journals(), st.integers(0, 59))
def test_a_draft_of_any_journal_has_each_event_and_no_time_outside(
    told: list[Event], first: int
) -> None:
    causes, inside = told[:first], told[first:]
    if not inside:
        return
    since, until = inside[0].at, inside[-1].at + timedelta(seconds=1)
    records = Records(
        since=since, until=until, now=until, host="h", version="1", events=tuple(inside),
        causes=tuple(each for each in causes if each.at < since),
    )  # fmt: skip
    document = draft(records)
    timeline = document.partition("## Timeline (UTC)")[2].partition("\n## ")[0]
    told_times = [line for line in timeline.splitlines() if line.startswith("- ")]
    counts = [int(n) for n in re.findall(r" — (\d+) times until ", timeline)]
    assert len(told_times) - len(counts) + sum(counts) == len(inside)
    for line in document.splitlines():
        for stamp in STAMP.findall(line):
            assert since <= datetime.fromisoformat(stamp) <= until or "(before the span)" in line


def test_what_happens_twice_or_much_later_is_told_each_time() -> None:
    twice = [event(1, 0, "job", "park", None), event(2, 10, "job", "park", None)]
    assert [line.times for line in lines(twice)] == [1, 1]
    later = [event(n, n * 10, "job", "park", None) for n in range(3)]
    later += [event(9, 9000, "job", "park", None)]
    assert [line.times for line in lines(later)] == [3, 1]


def test_a_sites_words_have_no_power_over_the_document() -> None:
    assert inline("a\n# b `c` <img src=x> [d](e)") == r"a # b \`c\` \<img src=x> \[d](e)"
    assert len(inline("x" * 1000)) == 301


def test_no_pages_are_missed_before_the_first_and_adjacent_waits_are_one_span() -> None:
    since, until = BEGIN, BEGIN + timedelta(hours=3)
    begun = BEGIN + timedelta(hours=1)
    told = [
        event(1, 600, "job", "queue", ("created", "queued")),
        event(2, 1200, "job", "park", ("queued", "parked")),
    ]
    records = Records(
        since=since, until=until, now=until, host="h", version="1", events=tuple(told),
        lives=(process("serve", started_at=begun, beat_at=until),),
        first_serve=begun,
    )  # fmt: skip
    assert lifeless(records, "serve") == []
    assert lifeless(replace(records, first_serve=since), "serve") == [(since, begun)]
    assert lifeless(records, "worker") == [(since, until)]
    assert workless(records) == [(told[0].at, until)]
