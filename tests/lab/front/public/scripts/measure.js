// Counts a visit, as such scripts do, and changes nothing on the page.
(() => {
  const seen = { path: location.pathname, width: screen.width, at: Date.now() };
  addEventListener("load", () => navigator.sendBeacon("/api/measure", JSON.stringify(seen)));
})();
