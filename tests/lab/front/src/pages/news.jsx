// A list without an end in sight: the next page is fetched when the end of this one is seen.
import { useCallback, useState } from "react";
import { news } from "../../phrases.json";
import { ask } from "../api.js";
import { useSeen } from "../seen.js";

export default function News() {
  const [items, setItems] = useState([]);
  const [next, setNext] = useState(1);
  const more = useCallback(async () => {
    const said = await ask(`/api/items?page=${next}`);
    setItems((before) => [...before, ...said.items]);
    setNext(said.next);
  }, [next]);
  const end = useSeen(more);
  return (
    <>
      <title>News – Harbour Health</title>
      <h1>News</h1>
      <p>{news}.</p>
      {items.map((item) => (
        <article key={item.id} className="item">
          <h2>{item.title}</h2>
          {item.link && <a href={item.link}>Read on</a>}
        </article>
      ))}
      {next && <p ref={end}>More…</p>}
    </>
  );
}
