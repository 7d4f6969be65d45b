"""What an index attempt prepares at its end, so that nobody waits for a WACZ of its job.

It is a convenience: nothing of it fails the indexing, for whoever asks for a WACZ prepares it.
"""

from __future__ import annotations

import os

from healtharchive.model.collection import CollectionKind, collections_of_job, count_captures
from healtharchive.model.orders import IndexOrder, Report
from healtharchive.search.collection_errand import prepare_in_child
from healtharchive.search.pipeline import Tools

CHEAP_CAPTURES = 100_000  # merged in a few seconds; a larger collection waits until it is asked for


def prepare_for(order: IndexOrder, tools: Tools) -> None:
    """The WACZ of the order's job, and those of its source and campaign where they are small.

    What `check` raises passes through.
    """
    with tools.database.read() as connection:
        names = collections_of_job(connection, order.job_id)
        captures = {name: count_captures(connection, name) for name in names}
    for name in names:
        if name.kind is not CollectionKind.JOB and captures[name] > CHEAP_CAPTURES:
            continue
        tools.check()
        said = prepare_in_child(name, os.environ, lambda _: tools.check())
        if said.kind != "ready":
            what = f"the WACZ of {name} is not prepared"
            tools.report(Report("note", what=what, reason=said.reason))
