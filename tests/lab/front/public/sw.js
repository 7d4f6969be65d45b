// Keeps three files at its installation, and answers for them from then on.
const KEPT = ["/offline/offline.html", "/offline/contacts.json", "/images/offline.png"];

self.addEventListener("install", (event) => {
  const keep = async () => (await caches.open("kept")).addAll(KEPT);
  event.waitUntil(keep().then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || !KEPT.includes(new URL(event.request.url).pathname)) return;
  event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)));
});
