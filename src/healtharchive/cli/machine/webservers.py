"""The web server before the archive: readers' pages, replay on an origin of its own, no more."""

from __future__ import annotations

import re
from typing import Literal

from healtharchive.cli.machine.templating import render
from healtharchive.model.errors import BadInput
from healtharchive.settings import Settings

WebServer = Literal["caddy", "nginx"]
FILES: dict[WebServer, str] = {
    "caddy": "/etc/caddy/healtharchive.caddy",
    "nginx": "/etc/nginx/conf.d/healtharchive.conf",
}
# What only operators may ask. The archive would answer this machine, which the web server is.
CLOSED = r"^/+((en|fr)/+)?(metrics|operations|admin|api/+admin)(/|$)"
DOMAIN = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?"
)


def site_text(server: WebServer, domain: str, settings: Settings) -> str:
    """The web server's configuration for the archive. BadInput for a domain that is none."""
    if not DOMAIN.fullmatch(domain):
        raise BadInput(
            f"'{domain}' is no name of a web site.", "Give one such as archive.example.org."
        )
    replay_port = settings.replay_port or settings.bind_port + 1
    host = f"[{settings.bind_host}]" if ":" in settings.bind_host else settings.bind_host
    return render(
        server,
        domain=domain,
        pages=f"{host}:{settings.bind_port}",
        replay=f"{host}:{replay_port}",
        closed=CLOSED,
    )


def next_step(server: WebServer, domain: str) -> str:
    """What a person does then: certificates and the server's own files are theirs."""
    if server == "caddy":
        return (
            "Add the line `import healtharchive.caddy` to /etc/caddy/Caddyfile, "
            "then `systemctl reload caddy`."
        )
    return (
        f"Have a certificate for {domain} and replay.{domain} in /etc/letsencrypt/live/{domain}/, "
        "then `nginx -t && systemctl reload nginx`."
    )
