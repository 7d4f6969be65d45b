"""Every reconciler that has no thread for each target; `steward run NAME` knows them too."""

from __future__ import annotations

from healtharchive.steward.keeping import Keeping
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Reconciler


def reconcilers(means: StewardMeans) -> list[Reconciler]:
    """One of each, in the order in which they are shown."""
    return [Keeping(means)]
