// A search that asks by POST: once by itself for what visitors look for most, then on wish.
import { useCallback, useEffect, useState } from "react";
import { search } from "../../phrases.json";
import { ask } from "../api.js";

export default function Search() {
  const [found, setFound] = useState([]);
  const look = useCallback(async (words) => {
    const said = await ask("/api/search", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ words }),
    });
    setFound(said.found);
  }, []);
  useEffect(() => {
    look("fever");
  }, [look]);
  return (
    <>
      <title>Search – Harbour Health</title>
      <h1>Search</h1>
      <p>{search}.</p>
      <form action={(form) => look(form.get("words"))}>
        <input name="words" defaultValue="fever" aria-label="Words" />
        <button type="submit">Search</button>
      </form>
      <ol>{found.map((each) => <li key={each}>{each}</li>)}</ol>
    </>
  );
}
