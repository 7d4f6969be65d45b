import { documents } from "../../phrases.json";

export default function Documents() {
  return (
    <>
      <title>Documents – Harbour Health</title>
      <h1>Documents</h1>
      <p>{documents}.</p>
      <ul>
        <li><a href="/documents/guide.pdf">The guide (PDF)</a></li>
        <li><a href="/documents/figures.csv" download>The figures (CSV)</a></li>
      </ul>
    </>
  );
}
