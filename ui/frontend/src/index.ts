// The components of the pages, by the names that ui/browser/components.py knows them by.
import { Collection, type CollectionData } from "./collection.tsx";
import { Bar, type BarData } from "./bar.tsx";
import { Grid, type GridData } from "./grid.tsx";
import { Files, type FilesData } from "./files.tsx";
import { Jobs, type JobsData } from "./jobs.tsx";
import { CollectionMap, type MapData } from "./map.tsx";
import { mount } from "./mount.tsx";
import { Teaching, type TeachingData } from "./teaching.tsx";
import { Twin, type TwinData } from "./twin.tsx";

export const bar = mount<BarData>("bar", Bar);
export const grid = mount<GridData>("grid", Grid);
export const teaching = mount<TeachingData>("teaching", Teaching);
export const twin = mount<TwinData>("twin", Twin);
export const collection = mount<CollectionData>("collection", Collection);
export const map = mount<MapData>("map", CollectionMap);
export const files = mount<FilesData>("files", Files);
export const jobs = mount<JobsData>("jobs", Jobs);
