// Tells the archive's own page around this one where in the archive the reader is now.
"use strict";
const replay = document.querySelector("replay-web-page");
replay.addEventListener("rwp-url-change", ({ detail }) => {
  if (parent === window) return;
  const { url, ts, replayNotFoundError } = detail;
  const said = { type: "urlchange", url, ts, absent: replayNotFoundError === true };
  parent.postMessage(said, replay.dataset.site);
});
