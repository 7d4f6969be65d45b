import { video } from "../../phrases.json";

export default function Video() {
  return (
    <>
      <title>Video – Harbour Health</title>
      <h1>Video</h1>
      <p>{video}.</p>
      <video controls muted preload="metadata" width="320" height="180" poster="/images/poster.png" src="/media/clip.webm">
        <track default kind="captions" srcLang="en" label="English" src="/media/clip.vtt" />
      </video>
    </>
  );
}
