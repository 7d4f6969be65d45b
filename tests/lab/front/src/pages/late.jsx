// A chunk that asks for another chunk once it is there.
import { Suspense, lazy } from "react";
import { late } from "../../phrases.json";

const Chart = lazy(() => import("./chart.jsx"));

export default function Late() {
  return (
    <>
      <title>Late – Harbour Health</title>
      <h1>Late</h1>
      <p>{late}.</p>
      <Suspense fallback={<p>…</p>}>
        <Chart />
      </Suspense>
    </>
  );
}
