"""brozzler over a list of pages, as its worker and its `brozzle-page` do it, without a frontier.

`build/peers/bin/python tests/bench/brozzler_peer.py --proxy HOST:PORT < URLS`, with a warcprox at
the proxy's address. Needs requirements/bench-browser.lock and nothing of this repository. Prints
how many pages were browsed to their end.
"""

from __future__ import annotations

import argparse
import logging
import queue
import sys
import threading

import brozzler
import structlog

MOST_TRIES = 2
BEHAVIOUR_SECONDS = 300  # brozzler's own default; with 0 it runs none
# Nothing here has TLS. What Chromium itself wants of its maker shall not leave the machine.
NOWHERE = "127.0.0.1:9"


class Peer:
    """So many browsers, each with the next page, kept until a page fails in one."""

    def __init__(self, proxy: str, chromium: str, browsers: int, behaviour_seconds: int) -> None:
        self.done = 0
        self._proxy = f"http={proxy};https={NOWHERE}"
        self._worker = brozzler.BrozzlerWorker(
            frontier=None,
            proxy=proxy,
            skip_youtube_dl=True,
            behavior_timeout=behaviour_seconds,
        )
        self._pool = brozzler.BrowserPool(size=browsers, chrome_exe=chromium)
        self._browsers = browsers
        self._counting = threading.Lock()

    def browse(self, urls: list[str]) -> None:
        """Every page once; one that fails once more."""
        waiting: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        for url in urls:
            waiting.put((url, 0))
        threads = [
            threading.Thread(target=self._work, args=(waiting,)) for _ in range(self._browsers)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _work(self, waiting: queue.SimpleQueue[tuple[str, int]]) -> None:
        browser = self._pool.acquire()
        try:
            while True:
                try:
                    url, tries = waiting.get_nowait()
                except queue.Empty:
                    return
                if not self._page(browser, url) and tries + 1 < MOST_TRIES:
                    waiting.put((url, tries + 1))
        finally:
            self._pool.release(browser)

    def _page(self, browser: brozzler.Browser, url: str) -> bool:
        site = brozzler.Site(None, {"id": -1, "seed": url})
        page = brozzler.Page(None, {"url": url, "site_id": site.id})
        try:
            if not browser.is_running():
                browser.start(proxy=self._proxy)
            self._worker.brozzle_page(browser, site, page, enable_youtube_dl=False)
        except Exception as error:  # whatever it is: the worker, too, goes on with a new browser
            print(f"{url}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            browser.stop()
            return False
        with self._counting:
            self.done += 1
        return True


def main() -> None:
    """Browse the pages whose URLs come on stdin, one a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--browsers", type=int, default=2)
    parser.add_argument("--no-behaviours", action="store_true", help="only load each page")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.basicConfig(level=logging.ERROR)
    seconds = 0 if asked.no_behaviours else BEHAVIOUR_SECONDS
    peer = Peer(asked.proxy, asked.chromium, asked.browsers, seconds)
    peer.browse(sys.stdin.read().split())
    print(peer.done)


if __name__ == "__main__":
    main()
