"""When the steward comes by again, for what follows in one of its rounds. Pure."""

from __future__ import annotations

from datetime import timedelta

from healtharchive.model.services import Service
from healtharchive.steward.condition import Condition
from healtharchive.steward.moments import moment, span

NO_STEWARD = "nothing while no steward is running"


def steward_lives(condition: Condition) -> bool:
    """Whether anybody makes rounds."""
    return bool(condition.services[Service.STEWARD].living)


def if_it_lives(condition: Condition, does: str, then: str) -> str:
    """What the steward does; where none runs, that nothing is done, and what it does `then`."""
    return does if steward_lives(condition) else f"{NO_STEWARD}; {then}"


def in_round(condition: Condition, name: str, every_seconds: float, does: str) -> str:
    """`the steward DOES in its next round, at …, and every 2 min`; or that nobody makes rounds."""
    if not steward_lives(condition):
        return f"{NO_STEWARD}; then it {does}."
    pace = f"every {span(every_seconds)}"
    ended_at = next((each.ended_at for each in condition.rounds if each.name == name), None)
    if ended_at is None:
        return f"the steward {does} in its next round; it makes one {pace}."
    at = max(ended_at + timedelta(seconds=every_seconds), condition.now)
    return f"the steward {does} in its next round, at {moment(at, condition.now)}; one {pace}."
