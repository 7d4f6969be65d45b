import { Link } from "react-router";
import { topics } from "../../phrases.json";
import { useAnswer } from "../api.js";

export default function Topics() {
  const answer = useAnswer("/api/topics");
  return (
    <>
      <title>Topics – Harbour Health</title>
      <h1>Topics</h1>
      <p>{topics}.</p>
      <ul>
        {answer?.topics.map((topic) => (
          <li key={topic.name}><Link to={`/topics/${topic.name}`}>{topic.title}</Link></li>
        ))}
      </ul>
    </>
  );
}
