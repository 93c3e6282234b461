// The components of the pages, by the names that ui/browser/components.py knows them by.
import { Bar, type BarData } from "./bar.tsx";
import { Grid, type GridData } from "./grid.tsx";
import { mount } from "./mount.tsx";

export const bar = mount<BarData>("bar", Bar);
export const grid = mount<GridData>("grid", Grid);
