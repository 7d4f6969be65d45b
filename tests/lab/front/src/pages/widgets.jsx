// A custom element whose text, link and image are in an open shadow root.
import { shadow, widgets } from "../../phrases.json";

class HealthCard extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return;
    this.attachShadow({ mode: "open" }).innerHTML = `
      <style>section { border: 1px solid; background: url("/images/card.png") }</style>
      <section>
        <p>${shadow}.</p>
        <img src="/images/shadow.png" alt="" width="160" height="90">
        <a href="/plain/only-from-shadow.html">More about the heron</a>
        <slot></slot>
      </section>`;
  }
}
customElements.define("health-card", HealthCard);

export default function Widgets() {
  return (
    <>
      <title>Widgets – Harbour Health</title>
      <h1>Widgets</h1>
      <p>{widgets}.</p>
      <health-card>The card's own words.</health-card>
    </>
  );
}
