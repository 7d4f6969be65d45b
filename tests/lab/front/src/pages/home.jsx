import { home } from "../../phrases.json";

export default function Home() {
  return (
    <>
      <title>Home – Harbour Health</title>
      <h1>Harbour Health</h1>
      <p>{home}.</p>
      <img src="/images/harbour.png" alt="The harbour" width="320" height="160" />
      <img src="http://cdn.invalid/images/logo.png" alt="" crossOrigin="anonymous" width="64" height="64" />
    </>
  );
}
