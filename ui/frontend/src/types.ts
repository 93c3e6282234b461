// What the server sends to the components, and what Streamlit hands to them.

/** An image of a list, as `as_rows` of ui/answers.py makes it; boxes and outlines in its pixels. */
export interface Row {
  id: number;
  v: string; // the version of its picture
  n: string; // name
  w: number;
  h: number;
  s?: number; // score
  t?: string; // verdict
  b?: number[]; // box: x0, y0, x1, y1
  q?: number[]; // outline: four corners x, y
  a?: string; // what fields of the user's own say
}

/** The query picture: where it is, its name, and its size in pixels of the original. */
export interface Picture {
  src: string;
  small: string;
  name: string;
  w: number;
  h: number;
}

/** What Streamlit calls a component with, each time that the page is drawn. */
export interface Mounted<Data> {
  data: Data;
  parentElement: ShadowRoot | HTMLElement;
  setTriggerValue(name: string, value: unknown): void;
  setStateValue(name: string, value: unknown): void;
}

export type Point = [number, number];
export type Box = [number, number, number, number];
