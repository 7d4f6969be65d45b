"""A database that goes away in the midst of a crawl costs time, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

from tests.lab import postgres, truth
from tests.lab.archive import IMPATIENT, Archive
from tests.lab.crawling import committed_urls
from tests.lab.processes import wait_for
from tests.lab.site import serving

CODE = "demo"
DEAD_SECONDS = 30.0  # ten leases of IMPATIENT


def test_dead_database_for_longer_than_the_lease_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with postgres.cluster() as cluster, serving(60, delay=0.1) as site:
        archive = Archive(tmp_path, {**IMPATIENT, "DATABASE_URL": cluster.create_database("lab")})
        archive.set_up(site.source_toml(CODE))
        archive.run("create-job", "--source", CODE)
        frontier = archive.job_dir() / "frontier.sqlite"
        with archive.working() as worker:
            wait_for(lambda: committed_urls(frontier) > 20, what="the crawl is under way")
            cluster.stop("immediate")
            time.sleep(DEAD_SECONDS)
            cluster.start()
            archive.wait_until_settled(seconds=200.0, worker=worker)
        job = archive.job()
        assert (job["status"], job["retry_count"]) == ("indexed", 0)
        assert truth.compare(frontier.parent, site.truth) == []
        assert truth.warcio_check(truth.warc_files(frontier.parent)) == []
