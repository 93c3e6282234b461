// Where a match is: its box, or the outline that geometry proved, over a picture that it fills.
import type { Row } from "./types.ts";

const NAMES = { box: "mark box", outline: "mark outline" };

/** Return the drawing over the picture of a row; `cut` says that the picture fills its place. */
export function Mark({ row, cut = false }: { row: Row; cut?: boolean }) {
  const points = outline(row);
  if (!points) return null;
  return (
    <svg
      class={row.q ? NAMES.outline : NAMES.box}
      viewBox={`0 0 ${row.w} ${row.h}`}
      preserveAspectRatio={cut ? "xMidYMid slice" : "none"}
      aria-hidden="true"
    >
      <polygon class="halo" points={points} vector-effect="non-scaling-stroke" />
      <polygon class="line" points={points} vector-effect="non-scaling-stroke" />
    </svg>
  );
}

function outline({ q, b }: Row): string | null {
  if (q) return q.join(" ");
  if (!b) return null;
  const [x0, y0, x1, y1] = b;
  return `${x0} ${y0} ${x1} ${y0} ${x1} ${y1} ${x0} ${y1}`;
}
