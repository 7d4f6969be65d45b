"""Alerts as a course of looks: what fires, what people are told, and what they never hear of."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.model.alerts import Alert, AlertState, Sighting
from healtharchive.settings.quiet import quiet_hours
from healtharchive.steward.alert_rules import AlertRule, Finding, Found, NextStep
from healtharchive.steward.alert_states import (
    CALM_SECONDS,
    Begun,
    Gone,
    Note,
    Seen,
    changes,
    notes,
)
from healtharchive.steward.settling import REMEMBERED, SETTLING_SECONDS
from healtharchive.steward.telling import Occasion, TellingPolicy, tidings

START = datetime(2026, 1, 24, 6, 0, tzinfo=UTC)
TICK = 10.0
SOON = NextStep("it is tried again in a minute.", "look at the other side.")


def rule(name: str, lasts_seconds: float = 0.0, severity: str = "critical") -> AlertRule:
    return AlertRule(
        name=name,
        severity=severity,  # type: ignore[arg-type]
        lasts_seconds=lasts_seconds,
        meaning="",
        find=lambda condition, settings: (),
        next_step=lambda found, condition, settings: SOON,
        command="healtharchive status",
    )


DOWN = rule("TargetDown", 60.0)
LATE = rule("ShippingLate", 0.0, "warning")
LONG = rule("JobParkedLong", 100.0, "warning")
MINOR = rule("ComparisonLate", 0.0, "info")


def found(of: AlertRule, thing: str = "box", explained_by: str = "") -> Finding:
    return Finding(of, Found("target", thing, f"{thing} is sick"), SOON, explained_by)


@dataclass
class House:
    """The rows in memory, and every message that went out of it."""

    policy: TellingPolicy = field(default_factory=TellingPolicy)
    now: datetime = START
    rows: dict[int, Alert] = field(default_factory=dict)
    sent: list[tuple[datetime, Occasion, tuple[int, ...]]] = field(default_factory=list)
    fired: list[int] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    ever: dict[int, Alert] = field(default_factory=dict)
    _ids: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def look(self, *findings: Finding, seconds: float = TICK, mute: bool = False) -> None:
        """Time passes, then one look and one chance to tell."""
        self.now += timedelta(seconds=seconds)
        for note in notes(findings, self.open(), self.now, self.ended()):
            self._write(note)
        lasts = {each.rule.name: each.rule.lasts_seconds for each in findings}
        changed = changes(self.open(), lasts, self.now)
        for each in changed.fires:
            self._fire(each)
        for each in changed.over:
            self.over.append(each.id)
            self._set(each.id, state=AlertState.OVER, over_at=self.now)
        if not mute:
            self.tell()

    def looks(self, seconds: float, *findings: Finding) -> None:
        """The same, again and again for so long."""
        for _ in range(int(seconds / TICK)):
            self.look(*findings)

    def tell(self) -> None:
        for told in tidings(self.rows.values(), self.now, self.policy):
            self.sent.append((self.now, told.occasion, tuple(told.ids)))
            column = "sent_at" if told.occasion is Occasion.PROBLEM else "over_sent_at"
            for alert_id in told.ids:
                self._set(alert_id, **{column: self.now})

    def open(self) -> list[Alert]:
        return [each for each in self.rows.values() if each.state is not AlertState.OVER]

    def ended(self) -> list[Alert]:
        """As `ended_alerts` gives them."""
        since = self.now - REMEMBERED
        fired = [each for each in self.rows.values() if each.fired_at is not None]
        return [each for each in fired if each.over_at is not None and each.over_at >= since]

    def occasions(self) -> list[str]:
        return [str(occasion) for _, occasion, _ in self.sent]

    def names(self, message: int) -> list[str]:
        return [self.ever[each].name for each in self.sent[message][2]]

    def _write(self, note: Note) -> None:
        if isinstance(note, Begun):
            self._begin(note)
        elif isinstance(note, Seen):
            self._set(note.alert.id, seen_at=self.now, **columns(note.sighting))
        elif isinstance(note, Gone) and note.kept:
            self._set(note.alert.id, state=AlertState.OVER, over_at=self.now)
        else:
            del self.rows[note.alert.id]

    def _fire(self, alert: Alert) -> None:
        """As `fire_alert` does."""
        unknown = [
            each.id
            for each in self.rows.values()
            if each.key == alert.key and each.over_at and each.sent_at and not each.over_sent_at
        ]
        self.fired.append(max(unknown, default=alert.id))
        if not unknown:
            self._set(alert.id, state=AlertState.FIRING, fired_at=self.now)
            return
        del self.rows[alert.id]
        seen = {"seen_at": alert.seen_at, "evidence": alert.evidence}
        self._set(max(unknown), state=AlertState.FIRING, over_at=None, **seen)

    def _begin(self, note: Begun) -> None:
        name, subject, subject_id = note.key
        alert_id = next(iter(self._ids))
        self.rows[alert_id] = Alert(
            id=alert_id,
            name=name,
            subject=subject,
            subject_id=subject_id,
            state=AlertState.PENDING,
            since=note.since,
            seen_at=self.now,
            **columns(note.sighting),  # type: ignore[arg-type]
        )
        self.ever[alert_id] = self.rows[alert_id]

    def _set(self, alert_id: int, **values: object) -> None:
        self.rows[alert_id] = replace(self.rows[alert_id], **values)  # type: ignore[arg-type]
        self.ever[alert_id] = self.rows[alert_id]


def columns(sighting: Sighting) -> dict[str, object]:
    return {
        "severity": sighting.severity,
        "summary": sighting.summary,
        "evidence": sighting.evidence,
        "inhibited_by": sighting.inhibited_by,
    }


# -- one incident ----------------------------------------------------------------------------


def test_what_lasts_is_told_once_and_once_when_it_is_over() -> None:
    house = House()
    house.looks(3600, found(DOWN))
    house.looks(600)
    assert house.occasions() == ["problem", "recovery"]
    assert house.sent[0][0] - START == timedelta(seconds=10 + 60 + 60)


def test_what_does_not_last_is_told_to_nobody_and_leaves_no_row() -> None:
    house = House()
    house.looks(50, found(DOWN))
    house.looks(600)
    assert not house.fired
    assert not house.rows


def test_a_flicker_neither_starts_the_wait_anew_nor_ends_what_fires() -> None:
    house = House()
    for number in range(60):
        house.look(*([found(DOWN)] if number % 3 == 0 else []))
    assert len(house.fired) == 1
    assert not house.over
    assert house.occasions() == ["problem"]


def test_what_fired_and_was_over_before_anybody_was_told_is_never_told() -> None:
    house = House(TellingPolicy(group_seconds=120.0))
    house.looks(30, found(LATE))
    house.looks(600)
    assert house.fired == house.over == [1]
    assert house.sent == []


def test_what_began_before_anybody_looked_has_lasted_since_then() -> None:
    house = House()
    old = Found("target", "box", "sick", since=START - timedelta(hours=1))
    house.look(Finding(DOWN, old, SOON))
    assert house.fired == [1]


def test_what_goes_on_is_told_again_after_a_day_and_no_sooner() -> None:
    house = House(TellingPolicy(again_seconds=7200.0))
    house.looks(5 * 3600, found(DOWN))
    assert house.occasions() == ["problem"] * 3
    assert house.sent[1][0] - house.sent[0][0] == timedelta(seconds=7200)


# -- several ---------------------------------------------------------------------------------


def test_what_fires_together_is_one_message_with_the_gravest_first() -> None:
    house = House()
    house.looks(140, found(LATE), found(DOWN), found(DOWN, "other"))
    assert [house.names(n) for n in range(len(house.sent))] == [
        ["TargetDown", "TargetDown", "ShippingLate"]
    ]
    house.looks(200)
    assert house.occasions() == ["problem", "recovery"]
    assert len(house.sent[-1][2]) == 3


def test_what_another_alert_explains_is_kept_and_not_told() -> None:
    house = House()
    house.looks(3600, found(DOWN), found(LATE, "box", "TargetDown"))
    house.looks(600)
    assert house.occasions() == ["problem", "recovery"]
    assert house.names(0) == ["TargetDown"]
    (kept,) = [each for each in house.rows.values() if each.name == "ShippingLate"]
    assert (kept.inhibited_by, kept.fired_at, kept.sent_at) == ("TargetDown", None, None)


def test_what_is_left_when_its_cause_is_over_fires_by_itself_after_its_own_time() -> None:
    house = House()
    house.looks(600, found(DOWN), found(LONG, "box", "TargetDown"))
    cause_over = house.now
    house.looks(90, found(LONG))
    assert [house.ever[each].name for each in house.fired] == ["TargetDown"]
    house.looks(20, found(LONG))
    assert [house.ever[each].name for each in house.fired] == ["TargetDown", "JobParkedLong"]
    assert house.now - cause_over == timedelta(seconds=110)


def test_a_cause_that_flickers_goes_on_explaining() -> None:
    house = House()
    for number in range(60):
        sick = number % 3 == 0
        cause = [found(DOWN)] if sick else []
        house.look(*cause, found(LATE, "box", "TargetDown" if sick else ""))
    assert [house.ever[each].name for each in house.fired] == ["TargetDown"]


def test_what_was_told_and_is_explained_later_is_still_told_to_be_over() -> None:
    house = House()
    house.looks(300, found(DOWN))
    held = rule("TargetHeld", 60.0)
    house.looks(300, found(held), found(DOWN, "box", "TargetHeld"))
    house.looks(300)
    assert house.occasions() == ["problem", "problem", "recovery"]
    assert sorted(house.names(2)) == ["TargetDown", "TargetHeld"]


def test_what_fired_and_is_explained_before_anybody_was_told_is_not_told() -> None:
    house = House()
    house.looks(30, found(LATE))
    house.looks(600, found(DOWN), found(LATE, "box", "TargetDown"))
    assert house.fired == [1, 2]
    assert [house.names(n) for n in range(len(house.sent))] == [["TargetDown"]]


def test_nobody_is_reminded_of_what_is_explained() -> None:
    house = House(TellingPolicy(again_seconds=600.0))
    house.looks(300, found(LATE))
    house.looks(1200, found(DOWN), found(LATE, "box", "TargetDown"))
    told = [name for n in range(len(house.sent)) for name in house.names(n)]
    assert told.count("ShippingLate") == 1


def test_what_is_not_grave_enough_is_not_told() -> None:
    house = House()
    house.looks(600, found(MINOR))
    assert house.fired
    assert not house.sent


# -- at night --------------------------------------------------------------------------------


def test_at_night_only_what_is_critical_is_told_and_the_rest_in_the_morning() -> None:
    night = quiet_hours("22:00-07:00", "Europe/Berlin")
    house = House(TellingPolicy(quiet=night), now=datetime(2026, 1, 24, 1, 0, tzinfo=UTC))
    house.looks(600, found(LATE), found(DOWN))
    assert [house.names(n) for n in range(len(house.sent))] == [["TargetDown"]]
    house.looks(5 * 3600, found(LATE), found(DOWN))
    assert house.names(-1) == ["ShippingLate"]
    assert house.sent[-1][0] == datetime(2026, 1, 24, 6, 0, tzinfo=UTC)


def test_what_is_over_before_the_morning_is_never_told() -> None:
    night = quiet_hours("22:00-07:00", "UTC")
    house = House(TellingPolicy(quiet=night), now=datetime(2026, 1, 24, 1, 0, tzinfo=UTC))
    house.looks(600, found(LATE))
    house.looks(7 * 3600)
    assert house.fired
    assert not house.sent


# -- what comes and goes ---------------------------------------------------------------------


def flap(house: House, down: float, up: float, hours: float, *, tick: float = 10.0) -> None:
    began = house.now
    while (gone := (house.now - began).total_seconds()) < hours * 3600:
        house.look(*([found(DOWN)] if gone % (down + up) < down else []), seconds=tick)


def test_a_target_that_flaps_all_night_is_three_messages_and_one_when_it_stays_well() -> None:
    house = House()
    flap(house, down=390, up=120, hours=8)
    assert house.occasions() == ["problem", "recovery", "problem"]
    house.looks(1000)
    assert house.occasions() == ["problem", "recovery", "problem", "recovery"]


def test_a_second_outage_is_told_at_once_and_its_end_when_it_has_settled() -> None:
    house = House()
    house.looks(600, found(DOWN))
    house.looks(1200)
    back_at = house.now
    house.looks(600, found(DOWN))
    assert house.sent[-1][:2] == (back_at + timedelta(seconds=130), Occasion.PROBLEM)
    over_at = house.now
    house.looks(1200)
    assert house.occasions() == ["problem", "recovery"] * 2
    assert house.sent[-1][0] - over_at == timedelta(seconds=CALM_SECONDS + 900)


def test_what_comes_back_before_its_end_was_told_is_the_same_incident() -> None:
    house = House()
    house.looks(600, found(DOWN))
    house.looks(60)
    assert house.over == [1]
    house.looks(600, found(DOWN))
    assert house.occasions() == ["problem"]
    assert [each.id for each in house.open()] == [1]
    assert house.rows[1].since == START + timedelta(seconds=10)


def test_what_comes_back_the_day_after_is_a_new_incident() -> None:
    house = House()
    for _ in range(2):
        house.looks(600, found(DOWN))
        house.looks(600)
        house.look(seconds=86_400)
    assert house.occasions() == ["problem", "recovery"] * 2


@given(
    st.lists(st.tuples(st.integers(60, 3600), st.integers(30, 7200)), min_size=1, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_however_it_flaps_a_subject_is_a_handful_of_messages_in_eight_hours(
    phases: Sequence[tuple[int, int]],
) -> None:
    house = House()
    for down, up in itertools.islice(itertools.cycle(phases), 24):
        flap(house, down, up, (down + up) / 3600, tick=15.0)
    moments = [at for at, _, _ in house.sent]
    for first in moments:
        within = [each for each in moments if first <= each < first + timedelta(hours=8)]
        assert len(within) <= 9


# -- whatever happens ------------------------------------------------------------------------

LOOKS = st.lists(
    st.tuples(
        st.booleans(),  # the target is down
        st.booleans(),  # shipping is late
        st.booleans(),  # the parked job
        st.sampled_from((5.0, 10.0, 25.0, 40.0, 400.0, 4000.0)),
        st.booleans(),  # nobody takes the message now
    ),
    max_size=60,
)


def course(looks: Sequence[tuple[bool, bool, bool, float, bool]]) -> House:
    house = House(TellingPolicy(group_seconds=60.0, again_seconds=3600.0))
    for down, late, parked, seconds, mute in looks:
        cause = "TargetDown" if down else ""
        found_now = [found(DOWN)] if down else []
        found_now += [found(LATE, explained_by=cause)] if late else []
        found_now += [found(LONG, explained_by=cause)] if parked else []
        house.look(*found_now, seconds=seconds, mute=mute)
    house.looks(CALM_SECONDS + 200)
    house.look(seconds=max(SETTLING_SECONDS))
    return house


@given(LOOKS)
@settings(max_examples=300, deadline=None)
def test_every_incident_is_told_at_most_once_but_for_reminders_and_ended_once(
    looks: Sequence[tuple[bool, bool, bool, float, bool]],
) -> None:
    house = course(looks)
    told: dict[int, list[datetime]] = {}
    ended: Counter[int] = Counter()
    for at, occasion, ids in house.sent:
        for each in ids:
            if occasion is Occasion.PROBLEM:
                assert each not in ended
                told.setdefault(each, []).append(at)
            else:
                ended[each] += 1
    for moments in told.values():
        for first, second in itertools.pairwise(moments):
            assert second - first >= timedelta(seconds=3600)
    assert ended == Counter(told.keys())
    assert not house.open()
    assert sorted(house.fired) == sorted(house.over)


@given(LOOKS)
@settings(max_examples=300, deadline=None)
def test_nothing_is_told_that_was_explained_all_the_time(
    looks: Sequence[tuple[bool, bool, bool, float, bool]],
) -> None:
    always = [
        (True, late, parked, min(seconds, 10.0), mute) for _, late, parked, seconds, mute in looks
    ]
    house = House()
    for _, late, parked, seconds, mute in always:
        now = [found(DOWN)]
        now += [found(LATE, explained_by="TargetDown")] if late else []
        now += [found(LONG, explained_by="TargetDown")] if parked else []
        house.look(*now, seconds=seconds, mute=mute)
    house.looks(600)
    assert {house.ever[each].name for each in house.fired} <= {"TargetDown"}
    assert {name for n in range(len(house.sent)) for name in house.names(n)} <= {"TargetDown"}


@given(LOOKS)
@settings(max_examples=200, deadline=None)
def test_an_incident_has_one_row_at_a_time(
    looks: Sequence[tuple[bool, bool, bool, float, bool]],
) -> None:
    house = House()
    for down, late, _, seconds, _mute in looks:
        now = ([found(DOWN)] if down else []) + ([found(LATE)] if late else [])
        house.look(*now, seconds=seconds)
        keys = Counter(each.key for each in house.open())
        assert set(keys.values()) <= {1}
