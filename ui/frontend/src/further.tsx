// Below a list that goes on: that more is coming, or why it is not.

interface Props {
  problem: string;
  again(): void;
}

export function Further({ problem, again }: Props) {
  if (!problem) return <p class="further" role="status">Loading more …</p>;
  return (
    <p class="further" role="alert">
      Some images did not arrive. {problem} <button type="button" onClick={again}>Try again</button>
    </p>
  );
}
