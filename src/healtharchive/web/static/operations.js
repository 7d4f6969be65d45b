// Keeps the live parts of an operations page as the server has them now. Without it, or without
// scripts at all, the page is as it was when it was loaded.
"use strict";

const live = document.getElementById("live");
let renewing = false;
let again = false;

function say(on) {
  live.hidden = false;
  live.textContent = on ? live.dataset.on : live.dataset.off;
}

// A part in which somebody is writing is left alone.
function isInUse(part) {
  if (part.contains(document.activeElement)) return true;
  return [...part.querySelectorAll("input:not([type=hidden])")].some((each) => each.value !== "");
}

function replace(part, fresh) {
  if (!fresh || isInUse(part) || fresh.outerHTML === part.outerHTML) return;
  for (const open of part.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  part.replaceWith(fresh);
}

async function renew() {
  again = renewing;
  if (renewing) return;
  renewing = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) {
      location.reload(); // the session is over
      return;
    }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      replace(part, page.getElementById(part.id));
    }
  } catch {
    say(false);
  } finally {
    renewing = false;
    if (again) renew();
  }
}

const source = new EventSource(document.body.dataset.stream);
source.addEventListener("open", () => say(true));
source.addEventListener("error", () => say(false));
for (const name of ["journal", "condition", "log"]) source.addEventListener(name, renew);
