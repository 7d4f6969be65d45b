import { useParams } from "react-router";
import { useAnswer } from "../api.js";

export default function Topic() {
  const topic = useAnswer(`/api/topics/${useParams().name}`);
  if (topic === null) return <p>…</p>;
  return (
    <>
      <title>{`${topic.title} – Harbour Health`}</title>
      <h1>{topic.title}</h1>
      {topic.paragraphs.map((text) => <p key={text}>{text}</p>)}
      <img src={topic.picture} alt="" crossOrigin="anonymous" width="240" height="120" />
    </>
  );
}
