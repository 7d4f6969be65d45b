"""Who may come in to the operations pages and the admin API: by which way, and with which token.

The listener is open to this machine, and to others only through a declared proxy that says they
came over HTTPS. A page's session is a cookie that a secret of this process signs: it ends with the
process, with its token, and after SESSION_SECONDS.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
import socket
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from healtharchive.model import tokens
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.journal import Actor
from healtharchive.settings import Settings
from healtharchive.web import trouble
from healtharchive.web.limits import Allowance, Network, client_of, is_in, line_of, networks

COOKIE = "healtharchive_operations"
SESSION_SECONDS = 12 * 3600
FAILURES = 5  # of one address in a row, and then one a minute
FAILURE_SECONDS = 60.0
MOST_ADDRESSES = 10_000
MOST_BYTES = 40_000  # of a form, and of an order to the API
FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")
SETTING = "admin_token"  # the name of who comes with the setting's token


class Refused(HealthArchiveError):
    """Somebody is not let in, or not to this; `key` and `values` name the sentence."""

    def __init__(self, status: int, key: str, /, **values: object) -> None:
        super().__init__(f"{key} {values}")
        self.status = status
        self.key = key
        self.values = values


class LoginFirst(HealthArchiveError):
    """A page is only for who has a session."""


class Way(StrEnum):
    """How a request came to this machine."""

    LOCAL = "local"
    SECURE = "secure"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who was let in, and for what. `session` is the cookie's value, empty for programs."""

    token_id: int  # 0: the one of the setting
    name: str
    scopes: tuple[tokens.Scope, ...]
    digest: str
    session: str = ""

    def may(self, scope: tokens.Scope) -> bool:
        """Whether the token is good for this."""
        return scope in self.scopes or tokens.Scope.ADMIN in self.scopes

    @property
    def actor(self) -> Actor:
        """Who the journal says did it."""
        return Actor(f"token {self.name}", os.getpid(), socket.gethostname())


def way_of(scope: Scope, proxies: Sequence[Network]) -> Way:
    """Over which way a request came. A proxy that was not declared is believed nothing."""
    peer = client_of(scope, ())
    if peer is None:
        return Way.PLAIN
    headers = Headers(scope=scope)
    if not any(name in headers for name in FORWARDED):
        return Way.LOCAL if peer.is_loopback else Way.PLAIN
    if not is_in(peer, proxies):
        return Way.PLAIN
    said = ",".join(headers.getlist("x-forwarded-proto")).split(",")
    if all(each.strip().lower() == "https" for each in said):
        return Way.SECURE
    client = client_of(scope, proxies)
    return Way.LOCAL if client is not None and client.is_loopback else Way.PLAIN


class Private:
    """Refuses what came over plain HTTP from another machine, and what is too long to be meant.

    Before anything is read of it: a body would be read before it is asked who sends it.
    """

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if way_of(scope, self._proxies) is Way.PLAIN:
            return trouble.answer(Request(scope), 403, "trouble.403.plain")
        length = Headers(scope=scope).get("content-length", "")
        if scope["method"] == "POST" and not (length.isdecimal() and int(length) <= MOST_BYTES):
            return trouble.answer(Request(scope), 413, "trouble.413.operations", most=MOST_BYTES)
        return None


class Admission:
    """The doorkeeper of one process."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self.proxies = networks(settings.trusted_proxies)
        self._own = settings.admin_token
        self._database = database
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._failures = _Failures()
        self._ended: dict[str, float] = {}

    def require_open(self) -> None:
        """Refused when nobody could come in at all."""
        if self._own:
            return
        with self._database.read() as connection:
            if tokens.any_good(self._database, connection):
                return
        raise Refused(403, "trouble.403.closed")

    def by_secret(self, secret: str, request: Request) -> Visitor:
        """Who comes with this token. Refused when nobody does; failures of an address are few."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            known = tokens.find_good(self._database, connection, secret)
        if known is not None:
            visitor = _visitor(known)
            tokens.note_use(self._database, known.token, now, actor=visitor.actor)
            return visitor
        client = client_of(request.scope, self.proxies)
        line = line_of(client) if client is not None else ""
        monotonic = self._clock.monotonic()
        # Only the setting's token may be one that a person made up, so only it can be guessed.
        wait = self._failures.wait(line, monotonic)
        if wait:
            raise Refused(429, "trouble.429.login", seconds=math.ceil(wait))
        digest = tokens.digest_of(secret)
        if self._own and hmac.compare_digest(digest, tokens.digest_of(self._own)):
            return _owner(digest)
        self._failures.note(line, monotonic)
        raise Refused(401, "trouble.401.token")

    def begin(self, visitor: Visitor) -> str:
        """The session cookie's value for who was let in."""
        until = int(self._clock.now().timestamp()) + SESSION_SECONDS
        # Random, or two sessions begun in one second would be the same and end together.
        said = f"{visitor.token_id}.{until}.{secrets.token_hex(8)}"
        return f"{said}.{self._sign(visitor.digest, 'session', said)}"

    def end(self, visitor: Visitor) -> None:
        """Let nobody in with this session any more."""
        now = self._clock.now().timestamp()
        self._ended = {each: until for each, until in self._ended.items() if until > now}
        self._ended[visitor.session] = now + SESSION_SECONDS

    def by_session(self, session: str) -> Visitor | None:
        """Who has this session; None when it is none, or is over, as its token may be."""
        said, _, signature = session.rpartition(".")
        number, _, rest = said.partition(".")
        until = rest.partition(".")[0]
        if not (number.isdecimal() and until.isdecimal() and len(said) < 60):
            return None
        if int(until) <= self._clock.now().timestamp() or session in self._ended:
            return None
        found = self._by_id(int(number))
        if found is None:
            return None
        right = self._sign(found.digest, "session", said)
        if not hmac.compare_digest(right.encode(), signature.encode()):
            return None
        return Visitor(found.token_id, found.name, found.scopes, found.digest, session)

    def form_token(self, visitor: Visitor) -> str:
        """What every form of a session carries, and no other page can know."""
        return self._sign(visitor.digest, "form", visitor.session)

    def _by_id(self, token_id: int) -> Visitor | None:
        if token_id == 0:
            return _owner(tokens.digest_of(self._own)) if self._own else None
        with self._database.read() as connection:
            now = self._database.now(connection)
            known = tokens.good_by_id(self._database, connection, token_id)
        if known is None:
            return None
        visitor = _visitor(known)
        tokens.note_use(self._database, known.token, now, actor=visitor.actor)
        return visitor

    def _sign(self, digest: str, what: str, said: str) -> str:
        key = hmac.digest(self._secret, digest.encode(), hashlib.sha256)
        return hmac.digest(key, f"{what} {said}".encode(), hashlib.sha256).hex()


class _Failures:
    """How often each address came with what is no token."""

    def __init__(self) -> None:
        self._allowance = Allowance(1 / FAILURE_SECONDS, FAILURES)
        self._until: OrderedDict[str, float] = OrderedDict()

    def wait(self, line: str, now: float) -> float:
        """How many seconds nothing is compared for this address any more; 0: it is."""
        return max(0.0, self._until.get(line, 0.0) - now)

    def note(self, line: str, now: float) -> None:
        if not self._allowance.take(line, now):
            return
        self._until[line] = now + FAILURE_SECONDS
        self._until.move_to_end(line)
        if len(self._until) > MOST_ADDRESSES:
            self._until.popitem(last=False)


def _visitor(known: tokens.Known) -> Visitor:
    token = known.token
    return Visitor(token.id, token.name, token.scopes, known.digest)


def _owner(digest: str) -> Visitor:
    return Visitor(0, SETTING, (tokens.Scope.ADMIN,), digest)
