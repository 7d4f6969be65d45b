"""Chromium's command line: quiet, bounded, and nothing sent that a page did not ask for.

The list is whole: playwright's own is not used, so that a new version of it changes nothing here.
What it says of a switch is in its chromiumSwitches.ts; those that its protocol needs are marked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

ALWAYS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--hide-scrollbars",
    "--mute-audio",
    "--disable-gpu",
    "--force-color-profile=srgb",
    "--password-store=basic",
    "--use-mock-keychain",
    # Nothing of its own accord.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    # No way around the proxy: no QUIC, no UDP of WebRTC, no name looked up here.
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--proxy-bypass-list=<-loopback>",
    # Nobody is there to be asked.
    "--deny-permission-prompts",
    "--autoplay-policy=user-gesture-required",
    # A page in the background is rendered like the one in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-hang-monitor",
    # For playwright's protocol.
    "--disable-back-forward-cache",
    "--disable-ipc-flooding-protection",
    "--disable-prompt-on-repost",
    "--allow-pre-commit-input",
    "--enable-features=CDPScreenshotNewSurface,SkipListAccountsWithoutGaiaCookies",
    # One renderer a tab, frames of other sites in it: a third of the memory. There is no account
    # or secret in a context that another site's frame could take.
    "--disable-site-isolation-trials",
)
WITHOUT = (
    "AimEnabled",
    "AutofillServerCommunication",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "CertificateTransparencyComponentUpdater",
    "DestroyProfileOnBrowserClose",
    "DialMediaRouteProvider",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "IsolateOrigins",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "Prerender2",
    "SpeculationRulesPrefetchFuture",
    "ThirdPartyStoragePartitioning",
    "Translate",
    # Windows have a bar, although nobody sees them: two renderers each, half of a page's time.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
    "WebUIOmniboxSimplification",
    "site-per-process",
)
HEAP_MEGABYTES = (256, 4096)


class Wishes(Protocol):
    """What the command line depends on."""

    @property
    def spki_hash(self) -> str: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def stray_proxy(self) -> str: ...


def switches(wishes: Wishes, profile: Path, *, sandbox: bool) -> list[str]:
    """All switches. Without the sandbox only where Chromium refuses it: as root."""
    least, most = HEAP_MEGABYTES
    heap = min(max(wishes.memory_bytes // 2_000_000, least), most)
    found = [
        *ALWAYS,
        f"--user-data-dir={profile}",
        f"--disable-features={','.join(WITHOUT)}",
        f"--proxy-server={wishes.stray_proxy}",
        f"--window-size={wishes.width},{wishes.height}",
        f"--js-flags=--max-old-space-size={heap}",
    ]
    if wishes.languages:
        found.append(f"--lang={wishes.languages[0]}")
    if wishes.spki_hash:
        found.append(f"--ignore-certificate-errors-spki-list={wishes.spki_hash}")
    if not sandbox:
        found.append("--no-sandbox")
    return found
