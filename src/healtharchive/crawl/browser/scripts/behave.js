// Small steps that make a page show what it holds back. Each is called by itself, and ends soon.
// Calls the step of that name; whether it found something to do. The steps, and what they
// remember, live as long as the document.
(name) => {
  if (globalThis.steps) return globalThis.steps[name]() === true;
  const MORE =
    /^\W*((load|show|see|view|display)\s+(\w+\s+)?more\b|more\s+(results|items|articles|news|posts|stories)\b|(charger|afficher|voir|montrer|en voir|en afficher)\s+(plus|davantage|la suite)\b|plus\s+(de|d['’])\s*(r[ée]sultats|articles|nouvelles|contenu)\b)/i;
  const asked = new WeakMap();

  const every = (selector) => {
    const all = [];
    const search = (root, depth) => {
      for (const node of root.querySelectorAll(selector)) all[all.length] = node;
      if (depth > 20) return;
      for (const node of root.querySelectorAll("*")) {
        if (node.shadowRoot) search(node.shadowRoot, depth + 1);
      }
    };
    search(document, 0);
    return all;
  };

  // What scrolls: the page, or in an application the largest box that does.
  const scroller = () => {
    const page = document.scrollingElement || document.documentElement;
    if (page.scrollHeight > innerHeight + 10 || !document.body) return page;
    let best = page;
    let area = innerWidth * innerHeight * 0.3;
    for (const node of document.body.querySelectorAll("div,main,section,article,ul")) {
      const size = node.clientWidth * node.clientHeight;
      if (size <= area || node.scrollHeight <= node.clientHeight + 10) continue;
      const flow = getComputedStyle(node).overflowY;
      if (flow !== "auto" && flow !== "scroll") continue;
      best = node;
      area = size;
    }
    return best;
  };

  const leadsAway = (node) => {
    if (node.localName !== "a") return node.type === "submit" && Boolean(node.form);
    const href = (node.getAttribute("href") || "").trim();
    return href !== "" && href[0] !== "#" && !/^javascript:/i.test(href);
  };

  const quieten = (media) => {
    media.autoplay = false;
    media.loop = false;
    media.muted = true;
    if (media.preload === "none") media.preload = "metadata";
    media.pause();
  };

  document.addEventListener("play", (event) => event.target.pause && event.target.pause(), true);

  globalThis.steps = {
    lazy: () => {
      for (const node of every("img[loading=lazy],iframe[loading=lazy]")) node.loading = "eager";
    },
    media: () => {
      for (const node of every("video,audio")) quieten(node);
    },
    details: () => {
      for (const node of every("details:not([open])")) node.open = true;
    },
    // One screen further down; whether there was one.
    scroll: () => {
      const node = scroller();
      const before = node.scrollTop;
      node.scrollBy({ top: node.clientHeight * 0.9, behavior: "instant" });
      return node.scrollTop > before + 1;
    },
    top: () => scroller().scrollTo({ top: 0, behavior: "instant" }),
    // Click one button that asks for more; whether there was one.
    more: () => {
      for (const node of every("button,a,[role=button]")) {
        if (node.localName === "a" && node.getAttribute("role") !== "button") continue;
        if (node.disabled || leadsAway(node)) continue;
        const said = (node.innerText || "").trim() || node.getAttribute("aria-label") || "";
        if (said.length > 80 || !MORE.test(said)) continue;
        if (!node.checkVisibility({ visibilityProperty: true })) continue;
        // A button that changed nothing when it was asked last is left alone.
        const size = document.getElementsByTagName("*").length;
        if (asked.get(node) === size) continue;
        asked.set(node, size);
        node.click();
        return true;
      }
      return false;
    },
  };
  return globalThis.steps[name]() === true;
}
