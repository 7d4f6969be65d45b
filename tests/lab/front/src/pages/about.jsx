import { about } from "../../phrases.json";

export default function About() {
  return (
    <>
      <title>About – Harbour Health</title>
      <h1>About</h1>
      <p>{about}.</p>
    </>
  );
}
