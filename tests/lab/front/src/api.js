import { useEffect, useState } from "react";

export async function ask(path, options) {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** What the API says at this path; null until it has answered. */
export function useAnswer(path) {
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    let current = true;
    ask(path).then((said) => current && setAnswer(said));
    return () => {
      current = false;
    };
  }, [path]);
  return answer;
}
