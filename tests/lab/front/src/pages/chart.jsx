import { lateChart } from "../../phrases.json";

export default function Chart() {
  return (
    <figure>
      <svg width="200" height="60" role="img" aria-label="Herrings">
        {[12, 40, 25, 33].map((height, at) => (
          <rect key={height} x={at * 40} y={60 - height} width="30" height={height} />
        ))}
      </svg>
      <figcaption>{lateChart}.</figcaption>
    </figure>
  );
}
