"""The expiry reconciler: on which day each watched certificate ends.

An event of the subject `expiry` under `certificate:NAME` says `seen` with the day, `unseen` when
it cannot be looked at, and `unwatched` when nobody wants it watched any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from healtharchive.model.expiries import SEEN, SUBJECT, UNSEEN, UNWATCHED
from healtharchive.model.told import Told, last_of_each
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.storage import errand

LOOK = Path(__file__).with_name("certificate_look.py")
EVERY_SECONDS = 3600.0
AGAIN = timedelta(days=1)  # it is told once a day though nothing has changed
LOOK_SECONDS = 10.0
KIND = "certificate"
MOST_CHARACTERS = 128  # of an event's subject_id


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one place: the day it ends, or why nobody knows."""

    name: str
    ends_at: datetime | None = None
    trouble: str = ""

    @property
    def subject_id(self) -> str:
        return f"{KIND}:{self.name}"[:MOST_CHARACTERS]


def watched(text: str) -> list[str]:
    """The places that the setting names: files and host:port."""
    return list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))


def order_for(place: str, seconds: float) -> dict[str, Any] | None:
    """What the child is to look at; None for what is neither a file nor host:port."""
    if place.startswith("/"):
        return {"file": place}
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        return None
    return {"host": host.strip("[]"), "port": int(port), "seconds": seconds}


def first_end(pem: str) -> datetime | None:
    """When the first of these certificates ends; None when there is none. ValueError."""
    found = x509.load_pem_x509_certificates(pem.encode()) if "BEGIN CERT" in pem else []
    return min((each.not_valid_after_utc for each in found), default=None)


def plan(looks: Sequence[Look], told: Mapping[str, Told], now: datetime) -> list[Step]:
    """What is to be told: a change at once, the rest once a day. Pure."""
    steps = []
    for look in looks:
        last = told.get(look.subject_id)
        recent = last is not None and now - last.at < AGAIN
        if look.ends_at is None:
            if not (
                recent and last is not None and (last.what, last.why) == (UNSEEN, look.trouble)
            ):
                steps.append(Step(UNSEEN, SUBJECT, look.subject_id, look.trouble))
            continue
        ends_at = look.ends_at.isoformat()
        same = last is not None and last.what == SEEN and last.evidence.get("ends_at") == ends_at
        if not (recent and same):
            why = f"it ends on {look.ends_at:%Y-%m-%d}"
            evidence = {"ends_at": ends_at}
            steps.append(Step(SEEN, SUBJECT, look.subject_id, why, evidence=evidence))
    names = {each.subject_id for each in looks}
    for name, last in told.items():
        if name not in names and last.what != UNWATCHED:
            steps.append(Step(UNWATCHED, SUBJECT, name, "the settings name it no more"))
    return steps


@dataclass(slots=True)
class Expiries:
    """Looks at every certificate that the settings name."""

    means: StewardMeans
    name: str = "expiry"
    caps: Caps = field(default_factory=Caps)

    def every_seconds(self) -> float:
        """How often; days are what counts."""
        return EVERY_SECONDS

    def plan(self) -> list[Step]:
        """See `plan`."""
        looks = [look_at(place) for place in watched(self.means.settings.certificates)]
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
            told = last_of_each(connection, SUBJECT, (SEEN, UNSEEN, UNWATCHED))
        return plan(looks, told, now)

    def apply(self, step: Step) -> str:
        """It is told by its event."""
        return step.why


def look_at(place: str) -> Look:
    """When the certificate at a place ends, after at most the deadline and a second."""
    order = order_for(place, LOOK_SECONDS / 2)
    if order is None:
        return Look(place, trouble="it is neither a file's path nor host:port")
    done = errand.run_script(LOOK, json.dumps(order), LOOK_SECONDS)
    if not done.in_time:
        return Look(place, trouble=f"a look at it did not end within {LOOK_SECONDS:g} s")
    try:
        answer = json.loads(done.output)
        if "trouble" in answer:
            return Look(place, trouble=str(answer["trouble"]))
        ends_at = first_end(answer["pem"])
    except (ValueError, KeyError) as error:
        return Look(place, trouble=f"it is no certificate: {error}")
    return Look(place, ends_at) if ends_at else Look(place, trouble="there is no certificate in it")
