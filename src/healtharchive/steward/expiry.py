"""The expiry reconciler: on which day each watched certificate and key ends, and how they are.

An event of the subject `expiry` under `certificate:NAME` (or `key:`, …) says `seen`, with the day
where there is one, `unseen` when it cannot be looked at or is not as it should be, and `unwatched`
when nobody wants it watched any more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from healtharchive.model.expiries import SEEN, SUBJECT, UNSEEN, UNWATCHED
from healtharchive.model.targets import list_targets
from healtharchive.model.told import Told, last_of_each
from healtharchive.steward.expiry_keys import key_files, look_at_key
from healtharchive.steward.expiry_look import LOOK_SECONDS, Look, ask
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

LOOK = Path(__file__).with_name("certificate_look.py")
EVERY_SECONDS = 3600.0
AGAIN = timedelta(days=1)  # it is told once a day though nothing has changed


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
    """What is to be told: a change at once, the rest once a day; that all is well, once. Pure."""
    steps = []
    for look in looks:
        step, last = _step(look), told.get(look.subject_id)
        recent = last is not None and (now - last.at < AGAIN or _is_well(look))
        if not (recent and last is not None and _says_the_same(step, last)):
            steps.append(step)
    names = {each.subject_id for each in looks}
    for name, last in told.items():
        if name not in names and last.what != UNWATCHED:
            steps.append(Step(UNWATCHED, SUBJECT, name, "the settings name it no more"))
    return steps


def _step(look: Look) -> Step:
    if look.trouble:
        return Step(UNSEEN, SUBJECT, look.subject_id, look.trouble)
    if look.ends_at is None:
        return Step(SEEN, SUBJECT, look.subject_id, "it is as it should be")
    evidence = {"ends_at": look.ends_at.isoformat()}
    if look.began_at is not None:
        evidence["began_at"] = look.began_at.isoformat()
    why = f"it ends on {look.ends_at:%Y-%m-%d}"
    return Step(SEEN, SUBJECT, look.subject_id, why, evidence=evidence)


def _is_well(look: Look) -> bool:
    """Whether nothing will ever follow from it."""
    return not look.trouble and look.ends_at is None


def _says_the_same(step: Step, last: Told) -> bool:
    if step.what != last.what:
        return False
    if step.what == UNSEEN:
        return step.why == last.why
    return step.evidence.get("ends_at") == last.evidence.get("ends_at")


@dataclass(slots=True)
class Expiries:
    """Looks at every certificate that the settings name, and at the keys that are in use."""

    means: StewardMeans
    name: str = "expiry"
    caps: Caps = field(default_factory=Caps)

    def every_seconds(self) -> float:
        """How often; days are what counts."""
        return EVERY_SECONDS

    def plan(self) -> list[Step]:
        """See `plan`."""
        settings, database = self.means.settings, self.means.database
        with database.read() as connection:
            now = database.now(connection)
            told = last_of_each(connection, SUBJECT, (SEEN, UNSEEN, UNWATCHED))
            targets = [each.definition for each in list_targets(connection)]
        home = Path(os.path.expanduser("~"))  # stays as it is where a user has none
        looks = [look_at(place) for place in watched(settings.certificates)]
        for file in key_files(targets, settings.state_dir, home):
            looks += look_at_key(file, settings.key_days, now)
        return plan(looks, told, now)

    def apply(self, step: Step) -> str:
        """It is told by its event."""
        return step.why


def look_at(place: str) -> Look:
    """When the certificate at a place ends, after at most the deadline and a second."""
    order = order_for(place, LOOK_SECONDS / 2)
    if order is None:
        return Look(place, trouble="it is neither a file's path nor host:port")
    answer = ask(LOOK, order)
    if "trouble" in answer:
        return Look(place, trouble=str(answer["trouble"]))
    try:
        ends_at = first_end(answer["pem"])
    except (ValueError, KeyError) as error:
        return Look(place, trouble=f"it is no certificate: {error}")
    return Look(place, ends_at) if ends_at else Look(place, trouble="there is no certificate in it")
