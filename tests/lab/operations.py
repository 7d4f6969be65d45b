"""The operations listener of a small archive, asked as its operator and as programs do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.routing import Route
from starlette.testclient import TestClient

from healtharchive.model import tokens
from healtharchive.model.journal import Actor
from healtharchive.model.tables import events
from healtharchive.model.tokens import Scope
from healtharchive.settings import Settings
from healtharchive.web.app import create_site
from healtharchive.web.operations_app import create_operations_app
from tests.lab.small_archive import ACTOR, SmallArchive

HERE = ("127.0.0.1", 4711)
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
API = "/api/admin/v1"


@dataclass(frozen=True)
class Office:
    """The application and somebody on this machine who asks it."""

    archive: SmallArchive
    app: FastAPI
    client: TestClient
    actor: Actor = ACTOR

    def token(self, name: str, *scopes: Scope) -> str:
        """A new token."""
        secret = tokens.new_secret()
        database = self.archive.database
        with database.begin() as connection:
            tokens.create_token(
                database, connection, name, scopes, timedelta(days=1), secret, actor=ACTOR
            )
        return secret

    def enter(self, secret: str, to: str = "") -> Any:
        """Send the login form."""
        fields = {"token": secret, "to": to}
        return self.client.post("/en/operations/login", data=fields, headers=OWN_PAGE)

    def form_word(self) -> str:
        """What the forms of the session carry."""
        page = self.client.get("/en/operations/journal").text
        found = re.search(r'name="form_token" value="([^"]+)"', page)
        assert found, page
        return found[1]

    def post(self, path: str, **fields: str) -> Any:
        """Send a form as the session's own page does."""
        data = {"form_token": self.form_word(), **fields}
        return self.client.post(path, data=data, headers=OWN_PAGE)

    def api(self, secret: str, path: str) -> Any:
        """Ask the API."""
        return self.client.get(f"{API}{path}", headers={"Authorization": f"Bearer {secret}"})

    def order(self, secret: str, path: str, body: Mapping[str, object]) -> Any:
        """Have the API do something."""
        headers = {"Authorization": f"Bearer {secret}"}
        return self.client.post(f"{API}{path}", json=body, headers=headers)

    def events(self) -> int:
        """How many events the journal has."""
        with self.archive.database.read() as connection:
            return connection.execute(select(func.count()).select_from(events)).scalar_one()

    def behind_proxy(self) -> TestClient:
        """Somebody whose requests come through a declared proxy on this machine."""
        settings = replace(self.archive.settings, trusted_proxies="127.0.0.1")
        app = create_operations_app(create_site(settings, self.archive.database))
        return TestClient(app, client=HERE, follow_redirects=False)


def office(archive: SmallArchive, settings: Settings | None = None) -> Office:
    """The operations listener of the archive."""
    app = create_operations_app(create_site(settings or archive.settings, archive.database))
    return Office(archive, app, TestClient(app, client=HERE, follow_redirects=False))


def walk(routes: object) -> Iterator[Route | APIRoute]:
    """Every route below these, however routers were put into each other."""
    for each in routes:  # type: ignore[attr-defined]
        if isinstance(each, Route | APIRoute):
            yield each
        elif inner := getattr(each, "original_router", None) or getattr(each, "router", None):
            yield from walk(inner.routes)
