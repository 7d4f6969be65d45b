// What stands around the replayed page follows the reader in it.
// The frame's word is only a question: which capture is that? All that is shown is our own answer,
// as text. Whoever forges a message gets the true facts of some capture, and nothing else.
"use strict";
const frame = document.querySelector("iframe.replayed");
const absent = document.querySelector("[data-absent]");
const followers = "[data-follows], main .actions a, .switch, footer a";
let shown = path(frame.dataset.timestamp, frame.dataset.url);
let asking = new AbortController();

addEventListener("message", ({ origin, source, data }) => {
  if (origin !== new URL(frame.src).origin || source !== frame.contentWindow) return;
  const { type, url, ts, absent: missing } = Object(data);
  if (type !== "urlchange" || !/^https?:\/\/\S+$/.test(url) || !/^\d{14}$/.test(ts)) return;
  absent.hidden = missing !== true;
  if (missing === true || path(ts, url) === shown) return;
  shown = path(ts, url);
  asking.abort();
  asking = new AbortController();
  follow(`/${document.documentElement.lang}/replay/at/${shown}`, asking.signal, 5);
});

function path(timestamp, url) {
  return `${timestamp}/${encodeURIComponent(url)}`;
}

async function follow(address, signal, tries) {
  const answer = await fetch(address, { signal }).catch(() => ({ status: 0 }));
  const body = answer.ok ? await answer.text().catch(() => "") : "";
  if (signal.aborted) return;
  absent.hidden = answer.status !== 404;
  if (!body) {
    // Such as a file that is being prepared, or too many questions in too short a time.
    if (answer.status !== 404 && tries > 1) setTimeout(follow, 2000, address, signal, tries - 1);
    return;
  }
  const theirs = new DOMParser().parseFromString(body, "text/html");
  const [old, fresh] = [document, theirs].map((page) => [...page.querySelectorAll(followers)]);
  if (old.length !== fresh.length) return;
  old.forEach((each, at) => {
    each.textContent = fresh[at].textContent;
    for (const name of ["href", "datetime"]) {
      if (each.hasAttribute(name)) each.setAttribute(name, fresh[at].getAttribute(name));
    }
  });
  document.title = theirs.title;
  frame.title = theirs.querySelector("iframe.replayed").title;
  history.replaceState(history.state, "", answer.url);
}
