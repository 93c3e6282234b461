// The map of the collection: laying it out, or the map, what is chosen on it, and the same in a grid.
import { useEffect, useMemo, useState } from "preact/hooks";
import { useFetched } from "./fetched.ts";
import { Grid } from "./grid.tsx";
import { Outcome, Progress } from "./jobs.tsx";
import { startJob, useJobs } from "./joblist.ts";
import { type Groups, lookOf } from "./look.ts";
import { type ColourBy, Legend, Tools } from "./maptools.tsx";
import { Plane } from "./plane.tsx";
import { passing, type Spots, readSpots } from "./spots.ts";
import { Kept, selected, useKept } from "./stores.ts";
import type { Mounted } from "./types.ts";
import { askedOf, beside } from "./address.ts";

export interface MapData {
  ready: boolean; // whether it is laid out as the collection is now
  enough: boolean; // whether there are enough images for one
  version: number;
  script: string; // that draws it
}

const LEAST = 10;
const colourBy = new Kept<ColourBy>("map-colour", "folder", () => localStorage);

export function CollectionMap(mounted: Mounted<MapData>) {
  const { data } = mounted;
  if (!data.enough) return <p class="note">A map needs at least {LEAST} images.</p>;
  return data.ready ? <Drawn key={data.version} {...mounted} /> : <LayingOut />;
}

function LayingOut() {
  const { jobs } = useJobs();
  const [problem, setProblem] = useState("");
  const job = jobs.find(({ name }) => name === "map");
  if (!job) return <p class="note" role="status">Loading …</p>;
  if (job.state === "running") return <section class="jobs"><article><h2>Map</h2><Progress job={job} /></article></section>;
  return (
    <section class="jobs">
      <article>
        <h2>A map of all images</h2>
        <p class="note">
          Images that look alike lie close together. Laying them out takes about half a minute for 2,000 images, and
          some minutes for 100,000; the map is kept, and new images are added to it.
        </p>
        <button type="button" class="main" onClick={async () => setProblem(await startJob("map"))}>Lay out the map</button>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <Outcome job={job} />
      </article>
    </section>
  );
}

function Drawn({ data, ...mounted }: Mounted<MapData>) {
  const asked = askedOf();
  const { answer: spots, problem } = useFetched<Spots>(beside("map", {}), asked, asSpots);
  const by = useKept(colourBy);
  const groups = useGroups(by);
  const [only, setOnly] = useState<number | null>(null);
  const [lasso, setLasso] = useState(false);
  const [chosen, setChosen] = useState<number[]>(selected.get());
  const marked = useKept(selected);
  useEffect(() => setOnly(null), [by]);
  const look = useMemo(
    () => spots && lookOf(spots, groups, only, new Set(marked)),
    [spots, groups, only, marked],
  );
  if (problem) return <p class="problem" role="alert">{problem}</p>;
  if (!spots || !look) return <p class="note" role="status">Loading the map …</p>;
  const choose = (ids: number[]) => {
    setChosen(ids);
    selected.set(ids);
    setLasso(false);
  };
  const nameOf = (place: number) => {
    if (!groups) return "";
    const number = groups.numbers[place] ?? -1;
    return groups.groups[number]?.name ?? groups.rest;
  };
  return (
    <section class="map" aria-label="Map">
      <Plane
        spots={spots} look={look} script={data.script} version={data.version}
        lasso={lasso} choose={choose} nameOf={nameOf}
        legend={groups && <Legend groups={groups} spots={spots} only={only} setOnly={setOnly} />}
      >
        <Tools by={by} setBy={(next) => colourBy.set(next)} lasso={lasso} setLasso={setLasso} />
      </Plane>
      <Images {...mounted} chosen={chosen} count={passing(spots)} clear={() => choose([])} />
    </section>
  );
}

type ImagesProps = Omit<Mounted<unknown>, "data"> & { chosen: number[]; count: number; clear(): void };

/** The images of the map in rows: those that were chosen on it, or all. */
function Images({ chosen, count, clear, ...mounted }: ImagesProps) {
  const heading = chosen.length
    ? `${chosen.length.toLocaleString()} chosen on the map`
    : `${count.toLocaleString()} images on the map`;
  const data = {
    list: `map ${chosen.length ? chosen.join() : askedOf()}`, rows: NO_ROWS, more: "images", heading,
    note: chosen.length ? "" : "the same in rows, newest first", query: null,
    teach: false, counted: "", ranks: false, asks: false, compact: false, also: false,
    ...(chosen.length ? { ids: chosen } : {}),
  };
  return (
    <>
      {chosen.length > 0 && <button type="button" class="back" onClick={clear}>Show all images again</button>}
      <Grid {...mounted} data={data} />
    </>
  );
}

const NO_ROWS: never[] = [];

const asSpots = async (answer: Response) => readSpots(await answer.arrayBuffer());

function useGroups(by: ColourBy): Groups | null {
  return useFetched<Groups>(by === "none" ? null : `/page/map/groups?by=${by}`).answer;
}
