// Above and below the map: what it is coloured by, the lasso, and the legend.
import { useMemo } from "preact/hooks";
import { COLOURS, type Groups, REST } from "./look.ts";
import type { Spots } from "./spots.ts";

export type ColourBy = "none" | "folder" | "date" | "tag";

const BY: Record<ColourBy, string> = { none: "One colour", folder: "Folder", date: "Date", tag: "Tag" };

interface ToolsProps {
  by: ColourBy;
  setBy(by: ColourBy): void;
  lasso: boolean;
  setLasso(on: boolean): void;
}

export function Tools({ by, setBy, lasso, setLasso }: ToolsProps) {
  return (
    <>
      <label class="by">
        <span>Colour by</span>
        <select aria-label="Colour by" value={by} onChange={(event) => setBy(event.currentTarget.value as ColourBy)}>
          {Object.entries(BY).map(([name, title]) => <option value={name}>{title}</option>)}
        </select>
      </label>
      <button type="button" aria-pressed={lasso} title="Draw round images to choose them (or Shift and drag)" onClick={() => setLasso(!lasso)}>
        Lasso
      </button>
    </>
  );
}

interface LegendProps {
  groups: Groups;
  spots: Spots;
  only: number | null;
  setOnly(number: number | null): void;
}

/** The names of the colours; a click lets the images of one stand out. */
export function Legend({ groups, spots, only, setOnly }: LegendProps) {
  const counts = useMemo(() => countsOf(groups, spots), [groups, spots]);
  const named = groups.groups.map(({ name }, number) => ({ name, number, colour: COLOURS[number]! }));
  const every = [...named, { name: groups.rest, number: -1, colour: REST }];
  const entries = every
    .map((entry) => ({ ...entry, count: counts.get(entry.number) ?? 0 }))
    .filter(({ count }) => count > 0);
  return (
    <ul class="legend" role="list" aria-label="Legend: choose what stands out">
      {entries.map(({ name, count, number, colour }) => (
        <li>
          <button type="button" aria-pressed={only === number} onClick={() => setOnly(only === number ? null : number)}>
            <span class="dot" style={{ background: colour }} aria-hidden="true" />
            <span class="name">{name}</span>
            <small>{count.toLocaleString()}</small>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Return how many images of each group pass the filters, by its number. */
function countsOf({ numbers }: Groups, { passes }: Spots): Map<number, number> {
  const counts = new Map<number, number>();
  numbers.forEach((number, place) => {
    if (passes[place]) counts.set(number, (counts.get(number) ?? 0) + 1);
  });
  return counts;
}
