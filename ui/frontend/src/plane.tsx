// The plane of the map: zoomed by wheel, fingers and keys, moved by dragging, and a lasso on it.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { showHit } from "./address.ts";
import { inPicture, onScreen, type Size } from "./fit.ts";
import type { Look } from "./look.ts";
import { usePanZoom, type View, viewAfter } from "./panzoom.ts";
import type { Scene } from "./scene.ts";
import { inside, passing, SpotIndex, type Spots } from "./spots.ts";
import type { Point } from "./types.ts";

interface Props {
  spots: Spots;
  look: Look;
  script: string;
  version: number;
  lasso: boolean;
  choose(ids: number[]): void;
  nameOf(place: number): string; // of its group
  children: ComponentChildren; // further tools
  legend: ComponentChildren;
}

const LARGEST_APART_PX = 170; // between images, where all is zoomed in
const MARGIN = 36; // px
const STRETCHED = 2; // the plane has no axes, but distances should mean much the same in x and y
const NEAR_PX = 12; // of a point, for the mouse
const CLICK_PX = 5;
const STEP_PX = 80; // by an arrow key
const FAILED = "The map needs WebGL, which this browser does not offer; the list below shows the same images.";

export function Plane({ spots, look, script, version, lasso, choose, nameOf, children, legend }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLDivElement>(null);
  const place = useSize(box);
  const fitting = fitted(place);
  const count = useMemo(() => passing(spots), [spots]);
  const largest = Math.max(4, LARGEST_APART_PX / apartIn(count, fitting));
  const pan = usePanZoom(version, largest);
  const index = useMemo(() => new SpotIndex(spots), [spots]);
  const { scene, problem } = useScene(canvas, script, spots, version);
  const sizes = sizesOf(count, fitting, pan.view.scale);
  const [hovered, setHovered] = useState<number | null>(null);
  const [outline, setOutline] = useState<Point[]>([]);
  const drags = useRef<(event: PointerEvent) => boolean>(() => true);
  drags.current = (event) => !lasso && !event.shiftKey;
  useEffect(() => scene?.paint(look), [scene, look]);
  useEffect(() => {
    if (scene && place.width) scene.draw({ place, fitting, view: pan.view, ...sizes });
  }, [scene, place.width, place.height, pan.view]);
  useEffect(() => box.current ? pan.attach(box.current, (event) => drags.current(event)) : undefined, [pan.attach]);

  const at = (event: MouseEvent): Point => {
    const area = box.current!.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  };
  const nearest = (point: Point): number | null => {
    const reach = Math.max(NEAR_PX, (sizes.picturePx ?? 0) / 2);
    const across = reach / (fitting.width * pan.view.scale);
    const down = reach / (fitting.height * pan.view.scale);
    return index.nearest(inPicture(point, fitting, place, pan.view), [across, down]);
  };
  const pressed = useRef<{ at: Point; draws: boolean } | null>(null);

  function onDown(event: PointerEvent): void {
    if (event.button !== 0 || !event.isPrimary || (event.target as Element).closest("button, label")) return;
    const draws = lasso || event.shiftKey;
    pressed.current = { at: at(event), draws };
    if (!draws) return;
    box.current!.setPointerCapture(event.pointerId);
    setHovered(null);
    setOutline([at(event)]);
  }

  function onMove(event: PointerEvent): void {
    if (pressed.current?.draws && event.isPrimary) {
      const point = at(event);
      setOutline((before) => [...before, point]);
    } else if (!pressed.current && event.pointerType === "mouse") setHovered(nearest(at(event)));
    else setHovered(null);
  }

  function onUp(event: PointerEvent): void {
    const begun = pressed.current;
    if (!begun || !event.isPrimary) return;
    pressed.current = null;
    const point = at(event);
    const isClick = Math.hypot(point[0] - begun.at[0], point[1] - begun.at[1]) < CLICK_PX;
    if (begun.draws) {
      if (outline.length > 2) {
        const shares = outline.map((one) => inPicture(one, fitting, place, pan.view));
        choose(inside(spots, shares).map((found) => spots.ids[found]!));
      }
      setOutline([]);
    } else if (isClick) {
      const found = nearest(point);
      if (found !== null) showHit(spots.ids[found]!);
    }
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = viewAfter(event.key, pan.view, largest) ?? movedBy(event.key, pan.view);
    if (!next) return;
    event.preventDefault();
    pan.set(next);
  }

  return (
    <div class="plane-frame">
      <div class="tools">
        {children}
        <div class="zoom" role="group" aria-label="Zoom">
          <button type="button" aria-label="Zoom out" onClick={() => pan.zoom(1 / 1.5)}>−</button>
          <button type="button" aria-label="Fit all of the map" onClick={() => pan.set({ scale: 1, x: 0, y: 0 })}>Fit</button>
          <button type="button" aria-label="Zoom in" onClick={() => pan.zoom(1.5)}>+</button>
        </div>
      </div>
      {legend}
      <div
        ref={box}
        class={`plane${lasso ? " lasso" : ""}${pan.view.scale > 1 ? " near" : ""}`}
        role="application"
        tabIndex={0}
        aria-label={`Map of ${count.toLocaleString()} images; those that look alike lie close together`}
        aria-describedby="map-help"
        data-drawn={scene ? "yes" : undefined}
        data-pictures={sizes.picturePx === null ? undefined : "yes"}
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerUp={onUp}
        onPointerCancel={() => { pressed.current = null; setOutline([]); }}
        onPointerLeave={() => setHovered(null)}
        onKeyDown={onKeyDown}
      >
        <div ref={canvas} class="canvas-of-map" aria-hidden="true" />
        {outline.length > 1 && (
          <svg class="outline" aria-hidden="true"><polygon points={outline.join(" ")} /></svg>
        )}
        {hovered !== null && <Card spots={spots} place={hovered} name={nameOf(hovered)} at={onScreen(pointOf(spots, hovered), fitting, place, pan.view)} away={10 + (sizes.picturePx ?? 0) / 2} within={place} />}
        {(problem || !scene) && <p class="note waiting" role="status">{problem ? FAILED : "Drawing the map …"}</p>}
      </div>
      <p class="note help" id="map-help">
        Wheel or pinch to zoom, drag to move, click an image to open it. Shift and drag, or the lasso, choose several.
        With the keyboard: arrows, + − and 0. All images are in the list below, too.
      </p>
    </div>
  );
}

interface CardProps {
  spots: Spots;
  place: number;
  name: string;
  at: Point;
  away: number; // px that stay free round the image
  within: Size;
}

/** The image under the mouse, larger, with the name of its group. */
function Card({ spots, place, name, at: [x, y], away, within }: CardProps) {
  const style = {
    left: `${Math.max(90, Math.min(within.width - 90, x))}px`,
    ...(y > within.height / 2 ? { bottom: `${within.height - y + away}px` } : { top: `${y + away}px` }),
  };
  return (
    <div class="card" style={style} aria-hidden="true">
      <img src={`/v1/images/${spots.ids[place]}/thumbnail?side=320`} alt="" />
      {name && <span>{name}</span>}
    </div>
  );
}

function pointOf(spots: Spots, place: number): Point {
  return [spots.points[2 * place]!, spots.points[2 * place + 1]!];
}

function movedBy(key: string, view: View): View | null {
  const steps: Record<string, Point> = {
    ArrowLeft: [STEP_PX, 0], ArrowRight: [-STEP_PX, 0], ArrowUp: [0, STEP_PX], ArrowDown: [0, -STEP_PX],
  };
  const step = steps[key];
  return step && view.scale > 1 ? { ...view, x: view.x + step[0], y: view.y + step[1] } : null;
}

/** Return the size of the plane where nothing is zoomed. */
function fitted({ width, height }: Size): Size {
  const [across, down] = [Math.max(1, width - 2 * MARGIN), Math.max(1, height - 2 * MARGIN)];
  return { width: Math.min(across, down * STRETCHED), height: Math.min(down, across * STRETCHED) };
}

const LEAST_PICTURE_PX = 24;
const MOST_PICTURE_PX = 96;

/** Return about how far images are from each other, in px. */
function apartIn(count: number, { width, height }: Size): number {
  return Math.sqrt((width * height) / Math.max(1, count));
}

/** Return how large points and pictures are drawn: so that most of them do not hide each other. */
function sizesOf(count: number, fitting: Size, scale: number): { pointPx: number; picturePx: number | null } {
  const apart = apartIn(count, fitting) * scale;
  const picturePx = Math.min(MOST_PICTURE_PX, 1.15 * apart);
  return {
    pointPx: Math.max(1.3, Math.min(6, 0.3 * apart)),
    picturePx: picturePx < LEAST_PICTURE_PX ? null : picturePx,
  };
}

function useSize(element: { current: HTMLElement | null }): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    const measured = element.current;
    if (!measured) return;
    const measure = () => setSize({ width: measured.clientWidth, height: measured.clientHeight });
    measure();
    const watching = new ResizeObserver(measure);
    watching.observe(measured);
    return () => watching.disconnect();
  }, [element]);
  return size;
}

/** Fetch the script that draws, which no other page needs, and return what it draws with. */
function useScene(parent: { current: HTMLElement | null }, script: string, spots: Spots, version: number) {
  const [scene, setScene] = useState<Scene | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let gone = false;
    let made: Scene | null = null;
    const address = (number: number) => `/page/map/sheet?n=${number}&v=${version}`;
    const begin = async () => {
      const { Scene: Made } = (await import(new URL(script, location.origin).href)) as { Scene: typeof Scene };
      if (gone || !parent.current) return;
      made = new Made(parent.current, spots, address, setProblem);
      setScene(made);
    };
    begin().catch((error: unknown) => setProblem(String(error)));
    return () => {
      gone = true;
      setScene(null);
      made?.close();
    };
  }, [spots, script, version]);
  return { scene, problem };
}
