"""Every reconciler that has no thread for each target; `steward run NAME` knows them too."""

from __future__ import annotations

from healtharchive.steward.alerting import Alerts, looking
from healtharchive.steward.backups import Backups
from healtharchive.steward.concurrency import Concurrency
from healtharchive.steward.drift import Drift
from healtharchive.steward.editions import Editions
from healtharchive.steward.expiry import Expiries
from healtharchive.steward.heartbeat import Heartbeat
from healtharchive.steward.index_format import IndexFormat
from healtharchive.steward.keeping import Keeping
from healtharchive.steward.lagging import Lagging
from healtharchive.steward.leases import Leases
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.notifying import Notify
from healtharchive.steward.progress import Progress
from healtharchive.steward.retention import Retention
from healtharchive.steward.rounds import Reconciler
from healtharchive.steward.services import Services
from healtharchive.steward.spool import Spool
from healtharchive.steward.stalls import Stalls
from healtharchive.steward.textfile import Textfile


def reconcilers(means: StewardMeans) -> list[Reconciler]:
    """One of each, in the order in which they are shown."""
    return [
        Leases(means),
        Services(means),
        Progress(means),
        Stalls(means),
        Concurrency(means),
        Editions(means),
        Keeping(means),
        Spool(means),
        Backups(means),
        Lagging(means),
        IndexFormat(means),
        Drift(means),
        Expiries(means),
        Retention(means),
        Alerts(means, looking(means)),
        Notify(means),
        Heartbeat(means),
        Textfile(means),
    ]
