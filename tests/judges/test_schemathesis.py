"""schemathesis takes the API's own description and asks it everything, sensible and not."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.lab.editions import build_editions, serving
from tests.lab.judges import program
from tests.lab.processes import wait_for

# `positive_data_acceptance` is left out: a text that is no date is refused, and OpenAPI cannot say
# what a text must be like here without saying it wrongly elsewhere.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method"
)
EXAMPLES = 12
BUDGET_SECONDS = 12
LONG_BUDGET_SECONDS = 240  # `make faults`: time for every example of every operation
FILES = ("campaign/annual-2026", "source/lab", "job/1")
MANNER = (  # the same requests each time, and no longer than the budget allows
    *("--generation-deterministic", "--max-examples", str(EXAMPLES)),
    *("--phases", "coverage,fuzzing"),
    *("--continue-on-failure", "--no-color", "--warnings", "off"),
)
BUDGET = ("--max-time", str(BUDGET_SECONDS))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "seconds", [BUDGET_SECONDS, pytest.param(LONG_BUDGET_SECONDS, marks=pytest.mark.long)]
)
def test_no_request_breaks_the_api_or_belies_its_description(tmp_path: Path, seconds: int) -> None:
    with serving(build_editions(tmp_path).app()) as address:
        for name in FILES:  # 503 is what they say while they are prepared, and rightly so
            whole = f"{address}/api/wacz/{name}.wacz"
            wait_for(partial(_is_there, whole), what=f"{whole} is prepared", seconds=60.0)
        command = [program("schemathesis"), "run", f"{address}/api/openapi.json", *MANNER]
        run = subprocess.run(
            [*command, "--max-time", str(seconds), "--checks", CHECKS],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=seconds * 2 + 60,
        )
        alive = httpx.get(f"{address}/health/ready", trust_env=False, timeout=30.0)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr
    assert "Tested: " in run.stdout
    assert alive.json()["status"] == "ok"


def _is_there(address: str) -> bool:
    return httpx.head(address, trust_env=False, timeout=30.0).status_code == 200
