"""The editions reconciler: creates the annual campaign of a year on its day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from healtharchive.model.campaigns import create_campaign, list_campaigns
from healtharchive.model.errors import BadInput
from healtharchive.model.sources import upsert_source
from healtharchive.settings.edition_day import EditionDay, edition_day
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

KIND = "annual"
LATE = timedelta(days=31)  # a steward that was down on the day makes up for it so long
PACE_SECONDS = 60.0
CREATE = "create_edition"
CAPS = Caps(cooldown_seconds=300.0, per_hour=6, per_day=24)


def due_year(day: EditionDay, today: date, known: Collection[str]) -> int | None:
    """The year whose edition is to be created today; None when there is nothing to create. Pure.

    A day late in December is made up for in January, for the year it stands in.
    """
    for year in (today.year - 1, today.year):
        begins = day.in_year(year)
        if begins <= today < begins + LATE and f"{KIND}-{year}" not in known:
            return year
    return None


@dataclass(slots=True)
class Editions:
    """Looks at the calendar and at the campaigns there are."""

    means: StewardMeans
    name: str = "editions"
    caps: Caps = CAPS

    def every_seconds(self) -> float:
        """Days are long."""
        return PACE_SECONDS

    def plan(self) -> Sequence[Step]:
        """The campaign that is due; a setting that is no day is told and stops nothing."""
        written = self.means.settings.edition_on
        try:
            day = edition_day(written)
        except BadInput as error:
            held = f"{error.what.rstrip('.')}: a person must correct it"
            return [Step(CREATE, "campaign", KIND, "its day is not known", held=held)]
        if day is None:
            return []
        with self.means.database.read() as connection:
            today = self.means.database.now(connection).date()
            known = {each.name for each in list_campaigns(connection)}
        year = due_year(day, today, known)
        if year is None:
            return []
        why = f"edition_on is {written}, and there is no {KIND}-{year} yet"
        return [Step(CREATE, "campaign", f"{KIND}-{year}", why, {"year": year})]

    def apply(self, step: Step) -> str:
        """Create it with a job for each declared source, as `campaign create` does."""
        from healtharchive.crawl.sources import load_all  # late: it brings the scope's machinery

        means = self.means
        definitions = load_all(means.settings.sources_dir)
        with means.database.begin() as connection:
            for definition in definitions.values():
                upsert_source(means.database, connection, definition, actor=means.actor)
            campaign, added = create_campaign(
                means.database,
                connection,
                KIND,
                step.evidence["year"],
                jobs_root=str(means.settings.jobs_root),
                actor=means.actor,
                sources=definitions,
                retry_budget=means.settings.retry_budget,
            )
        jobs = ", ".join(f"{each.source} (job {each.id})" for each in added)
        return f"{campaign.name} was created: {jobs}"
