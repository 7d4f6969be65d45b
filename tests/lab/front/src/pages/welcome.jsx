import { welcome } from "../../phrases.json";

export default function Welcome() {
  return (
    <>
      <title>Accueil – Santé du port</title>
      <h1>Santé du port</h1>
      <p>{welcome}.</p>
      <img src="/images/port.png" alt="Le port" width="320" height="160" />
    </>
  );
}
