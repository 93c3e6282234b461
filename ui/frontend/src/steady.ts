// What is seen stays where it is while the rows of a list become higher, lower, wider or narrower.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Line } from "./justify.ts";
import { lineAt, lineOf } from "./layout.ts";
import { scroller } from "./scrolling.ts";

/** Keep what is seen where it is when rows get another height or width, as by turning a phone. */
export function useSteadyPlace(lines: readonly Line[], top: number, sizes: string): void {
  const before = useRef({ sizes, index: -1, top: 0 });
  useLayoutEffect(() => {
    const { index, top: was } = before.current;
    const line = before.current.sizes !== sizes && index >= 0 ? lines[lineOf(lines, index)] : undefined;
    if (line) scroller().scrollTop += line.top - was;
    before.current.sizes = sizes;
  }, [sizes]);
  useEffect(() => {
    const first = top > 0 ? lines[lineAt(lines, top)] : undefined;
    before.current = { sizes, index: first?.tiles[0]!.index ?? -1, top: first?.top ?? 0 };
  }, [lines, top]);
}
