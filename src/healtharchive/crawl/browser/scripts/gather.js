// What one frame shows: its text in reading order, one block a line, and all its links.
// The result is checked by whoever asked.
(limits) => {
  const UNSEEN = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "IFRAME", "OBJECT"]);
  const INLINE = new Set(["inline", "inline-block", "inline-flex", "contents", "ruby", "none"]);
  const found = new Set();
  const parts = [];
  let length = 0;
  let elements = 0;

  const addLink = (node) => {
    if (found.size >= limits.links) return;
    let href = node.href;
    if (href && typeof href === "object") href = href.baseVal; // SVG
    if (typeof href !== "string" || !href) return;
    try {
      const url = new URL(href, document.baseURI);
      if (url.protocol !== "http:" && url.protocol !== "https:") return;
      url.hash = "";
      if (url.href.length <= limits.url) found.add(url.href);
    } catch (error) {
      // No URL: nothing to follow.
    }
  };

  const addText = (text) => {
    if (length >= limits.text) return;
    parts[parts.length] = text;
    length += text.length;
  };

  const isVisible = (node) =>
    node.checkVisibility ? node.checkVisibility({ visibilityProperty: true }) : true;

  const childrenOf = (node) => {
    if (node.shadowRoot) return node.shadowRoot.childNodes;
    if (node.localName === "slot" && node.assignedNodes) {
      const assigned = node.assignedNodes();
      if (assigned.length) return assigned;
    }
    return node.childNodes;
  };

  const walk = (node, shown, depth) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (shown) addText(node.data.replace(/\s+/g, " "));
      return;
    }
    if (node.nodeType !== Node.ELEMENT_NODE || depth > limits.depth) return;
    elements += 1;
    const tag = node.tagName;
    if (tag === "A" || tag === "AREA" || tag === "a") addLink(node);
    const display = shown ? getComputedStyle(node).display : "none";
    // An element with display: contents has no box of its own, but its children have.
    const visible = shown && !UNSEEN.has(tag) && (display === "contents" || isVisible(node));
    const block = visible && (tag === "BR" || !INLINE.has(display));
    if (block) addText("\n");
    const children = childrenOf(node);
    for (let i = 0; i < children.length; i += 1) walk(children[i], visible, depth + 1);
    if (block) addText("\n");
    else if (display === "table-cell") addText(" ");
  };

  const seen = window === window.top || (innerWidth > 2 && innerHeight > 2);
  if (document.documentElement) walk(document.documentElement, seen, 0);
  const lines = parts.join("").slice(0, limits.text).split("\n");
  const text = lines.map((line) => line.trim()).filter((line) => line).join("\n");
  const title = typeof document.title === "string" ? document.title.slice(0, limits.text) : "";
  return { url: document.URL, title, text, links: [...found], elements };
}
