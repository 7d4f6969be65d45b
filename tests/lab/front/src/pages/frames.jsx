import { frames } from "../../phrases.json";

export default function Frames() {
  return (
    <>
      <title>Frames – Harbour Health</title>
      <h1>Frames</h1>
      <p>{frames}.</p>
      <iframe src="/embedded/notice.html" title="Notice" width="480" height="240" />
    </>
  );
}
