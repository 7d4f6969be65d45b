// Images that a browser asks for only when they come near, in the two ways sites do it.
import { useCallback, useState } from "react";
import { gallery, galleryEnd } from "../../phrases.json";
import { useSeen } from "../seen.js";

const LAZY = [1, 2, 3, 4, 5, 6];
const WIDTHS = [480, 960, 1920];

function Watched() {
  const [seen, setSeen] = useState(false);
  const ref = useSeen(useCallback(() => setSeen(true), []));
  return (
    <figure ref={ref}>
      {seen && <img src="/images/watched.png" alt="" width="320" height="200" />}
      {seen && <figcaption>{galleryEnd}.</figcaption>}
    </figure>
  );
}

export default function Gallery() {
  return (
    <>
      <title>Gallery – Harbour Health</title>
      <h1>Gallery</h1>
      <p>{gallery}.</p>
      <img
        alt="Wide"
        src="/images/wide-480.png"
        srcSet={WIDTHS.map((width) => `/images/wide-${width}.png ${width}w`).join(", ")}
        sizes="100vw"
      />
      <picture>
        <source srcSet="http://cdn.invalid/images/tall-dark.png" media="(prefers-color-scheme: dark)" />
        <img src="http://cdn.invalid/images/tall.png" alt="Tall" width="100" height="300" />
      </picture>
      {LAZY.map((number) => (
        <section key={number} className="far">
          <h2>Portrait {number}</h2>
          <div className="far" />
          <img loading="lazy" src={`/images/lazy-${number}.png`} alt="" width="320" height="200" />
        </section>
      ))}
      <Watched />
    </>
  );
}
