"""Every metric, declared once, and what is told of each: at /metrics and in the textfile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from healtharchive import __version__
from healtharchive.model.database import Database
from healtharchive.model.standing import Standing, standing
from healtharchive.model.states import TargetState
from healtharchive.model.targets import list_targets
from healtharchive.settings import Settings
from healtharchive.steward import metrics_jobs, metrics_operation, metrics_storage
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.metrics_declared import Values, declared, family, one
from healtharchive.steward.observing_storage import held
from healtharchive.work.census import patience_seconds
from healtharchive.work.outage import OUTAGES

BUILD = declared("build_info", "1, with the version of this program.", "version")
DATABASE_UP = declared("database_up", "1 when the database answers, else 0: nothing else is told.")
WRITTEN_AT = declared(
    "textfile_timestamp_seconds", "When the steward wrote the textfile (Unix time); only there."
)
DECLARED = (
    BUILD,
    DATABASE_UP,
    WRITTEN_AT,
    *metrics_jobs.DECLARED,
    *metrics_storage.DECLARED,
    *metrics_operation.DECLARED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the database does not know."""

    deploy_lock_age_seconds: float | None = None
    written_at: float | None = None


def outside(means: StewardMeans, *, written_at: float | None = None) -> Outside:
    """What is to be told beside what the database knows."""
    return Outside(deploy_lock_age_seconds=means.deploy_lock_age_seconds(), written_at=written_at)


def exposition(
    database: Database, settings: Settings, outside: Outside, *, strict: bool = False
) -> bytes:
    """Everything in Prometheus' text format; with a dead database, that alone.

    `strict` raises instead: a file that stays as it was says by its age that nobody writes it.
    """
    always: Values = {
        BUILD: [((__version__,), 1.0)],
        WRITTEN_AT: one(outside.written_at),
    }
    try:
        with database.read() as connection:
            found = standing(database, connection, patience_seconds(settings.heartbeat_seconds))
            held = _held(connection)
    except OUTAGES:
        if strict:
            raise
        return _text({**always, DATABASE_UP: one(0.0)})
    return _text({**always, DATABASE_UP: one(1.0), **values(found, held, settings, outside)})


def values(found: Standing, held: Collection[str], settings: Settings, outside: Outside) -> Values:
    """What is to be told of every metric that the database knows."""
    return {
        **metrics_jobs.values(found, settings.stall_seconds),
        **metrics_storage.values(found, held),
        **metrics_operation.values(found, settings, outside.deploy_lock_age_seconds),
    }


def _held(connection: Connection) -> set[str]:
    """The sick targets that nothing automatic will mend."""
    sick = [each for each in list_targets(connection) if each.state is not TargetState.CLOSED]
    return {each.name for each in sick if held(connection, each)}


class _Once(Collector):
    """What one scrape is told."""

    def __init__(self, told: Iterable[Metric]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        yield from self._told


def _text(told: Values) -> bytes:
    """The metrics that have something to tell, in the order they are declared."""
    families = [family(each, list(told[each])) for each in DECLARED if each in told]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(each for each in families if each.samples))
    return generate_latest(registry)
