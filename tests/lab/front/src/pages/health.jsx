import { health } from "../../phrases.json";

export default function Health() {
  return (
    <>
      <title>Santé – Santé du port</title>
      <h1>Santé</h1>
      <p>{health}.</p>
    </>
  );
}
