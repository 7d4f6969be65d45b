"""schemathesis asks all of the operations listener: its pages, and its API with a token and not."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from healtharchive.web.operations_admission import COOKIE
from tests.judges.test_schemathesis import BUDGET, CHECKS, MANNER
from tests.lab.editions import serving
from tests.lab.judges import program
from tests.lab.operations import API, Office, office, walk
from tests.lab.small_archive import Exchange, build

PATIENCE_SECONDS = 400
SECRET = "lab-" + "0123456789" * 4
BEARER = f"Bearer {SECRET}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    exchanges = [Exchange("/", b"<p>here</p>", title="Here", language="en")]
    archive = build(tmp_path, exchanges)
    # The setting's token: the judge reads the names of all others, and revokes them.
    yield office(archive, replace(archive.settings, admin_token=SECRET))
    archive.database.dispose()


def ask(directory: Path, described: Path, address: str, *more: str) -> None:
    """Have schemathesis ask; the test fails when it finds anything."""
    command = [
        program("schemathesis"),
        "run",
        str(described),
        "--url",
        address,
        *MANNER,
        *BUDGET,
        *more,
    ]
    run = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr
    assert "Tested: " in run.stdout


def described(directory: Path, desk: Office) -> Path:
    """The API's own description, in a file."""
    answer = desk.client.get("/api/admin/openapi.json", headers={"Authorization": BEARER})
    assert answer.status_code == 200
    path = directory / "openapi.json"
    path.write_bytes(answer.content)
    return path


def test_no_order_breaks_the_admin_api_or_belies_its_description(
    tmp_path: Path, desk: Office
) -> None:
    path, header = described(tmp_path, desk), f"Authorization: {BEARER}"
    with serving(desk.app) as address:
        ask(tmp_path, path, address, "--header", header, "--checks", CHECKS)
        alive = httpx.get(f"{address}{API}/status", headers={"Authorization": BEARER}, timeout=30.0)
    assert alive.status_code == 200, alive.text


def test_without_a_token_every_order_is_refused_whatever_it_holds(
    tmp_path: Path, desk: Office
) -> None:
    path = only_refusals(described(tmp_path, desk))
    before = desk.events()
    with serving(desk.app) as address:
        ask(tmp_path, path, address, "--checks", "not_a_server_error,status_code_conformance")
    assert desk.events() == before, "nobody changed anything"


def only_refusals(path: Path) -> Path:
    """The description as it is for a stranger: nothing but that one must say who one is.

    405 is for methods that no address has, 413 for a body beyond all measure.
    """
    said = json.loads(path.read_text(encoding="utf-8"))
    del said["security"], said["components"]["securitySchemes"]
    for operations in said["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
            operation["responses"] = {
                str(each): {"description": "no"} for each in (401, 403, 404, 405, 413)
            }
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def test_no_request_breaks_a_page_of_the_operations_listener(tmp_path: Path, desk: Office) -> None:
    assert desk.enter(SECRET).status_code == 303
    cookie = f"Cookie: {COOKIE}={desk.client.cookies[COOKIE]}"
    path = tmp_path / "pages.json"
    path.write_text(json.dumps(described_pages(desk)), encoding="utf-8")
    with serving(desk.app) as address:
        who = ("--header", cookie, "--header", "Sec-Fetch-Site: same-origin")
        ask(tmp_path, path, address, *who, "--checks", "not_a_server_error")
        kept = {COOKIE: desk.client.cookies[COOKIE]}
        alive = httpx.get(f"{address}/en/operations", cookies=kept, timeout=60.0)
    assert alive.status_code == 200, "the session has lasted: the pages were asked, not the login"


def described_pages(desk: Office) -> dict[str, Any]:
    """The pages as an API: their addresses, what a query may say, and the fields of their forms."""
    text = {"type": "string"}
    asked = ("page", "status", "subject", "id", "what", "actor", "since", "until", "event", "to")
    query = [{"name": name, "in": "query", "schema": text} for name in asked]
    fields = dict.fromkeys(("why", "hours", "let_finish", "note", "kind", "year", "to"), text)
    word = {"type": "string", "enum": [desk.form_word()]}
    form = {
        "type": "object",
        "properties": {**fields, "form_token": word},
        "required": ["form_token"],
    }
    paths: dict[str, Any] = {}
    for route in walk(desk.app.routes):
        if route.path.startswith("/api/") or route.path.endswith(("/logout", "/stream")):
            continue  # the API is described by itself; these two end the session, or never end
        names = re.findall(r"\{(\w+)\}", route.path)
        places = [{"name": n, "in": "path", "required": True, "schema": _kind(n)} for n in names]
        for method in (route.methods or set()) & {"GET", "POST"}:
            operation: dict[str, Any] = {"parameters": [*places, *query], "responses": {}}
            if method == "POST":
                content = {"application/x-www-form-urlencoded": {"schema": form}}
                operation["requestBody"] = {"content": content}
            paths.setdefault(route.path, {})[method.lower()] = operation
    assert len(paths) > 10
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}


def _kind(name: str) -> dict[str, Any]:
    if name == "language":
        return {"type": "string", "enum": ["en", "fr"]}
    return {"type": "integer"} if name in ("job_id", "number") else {"type": "string"}
