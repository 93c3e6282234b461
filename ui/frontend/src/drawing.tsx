// The query picture, large, to draw boxes on: by mouse, finger or keyboard, zoomed as need be.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { asking, go } from "./address.ts";
import { between, clamp, isTiny, moved, MOVES, parse, type Share, toBox, toShare } from "./boxes.ts";
import { fit, inPicture } from "./fit.ts";
import { Mark } from "./mark.tsx";
import { useSize } from "./pane.tsx";
import { usePanZoom, viewAfter } from "./panzoom.ts";
import type { Box, Picture, Point } from "./types.ts";

interface Props {
  picture: Picture;
  boxes: Box[];
  regions: boolean;
  close(): void;
}

const MIDDLE: Share = [0.25, 0.25, 0.75, 0.75];
const HELP =
  "Drag to draw a box. By keyboard: Enter makes a box, arrows move it, Shift and arrows resize it, Delete removes it.";

export function Drawing({ picture, boxes: given, regions, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const canvas = useRef<HTMLDivElement>(null);
  const place = useSize(canvas);
  const pan = usePanZoom(picture.src);
  const [boxes, setBoxes] = useState<Share[]>(() => given.map((box) => toShare(box, picture)));
  const [several, setSeveral] = useState(given.length > 1);
  const [moving, setMoving] = useState(false);
  const [drawn, setDrawn] = useState<Share | null>(null);
  const start = useRef<Point | null>(null);
  const fitting = fit({ width: picture.w, height: picture.h }, place);
  const free = useRef(false);
  free.current = moving;
  useLayoutEffect(() => dialog.current?.showModal(), []);
  useEffect(() => canvas.current ? pan.attach(canvas.current, () => free.current) : undefined, []);

  function search(wanted: Share[]): void {
    close();
    const box = wanted.map((share) => toBox(share, picture).join(","));
    go(asking({ box, ...(regions && box.length ? { search: "region" } : {}) }));
  }
  const pointAt = (event: PointerEvent): Point => {
    const area = canvas.current!.getBoundingClientRect();
    const [x, y] = inPicture([event.clientX - area.left, event.clientY - area.top], fitting, place, pan.view);
    return [clamp(x), clamp(y)];
  };
  function onPointerDown(event: PointerEvent): void {
    if (moving || event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.current!.focus();
    canvas.current!.setPointerCapture(event.pointerId);
    start.current = pointAt(event);
  }
  function onPointerMove(event: PointerEvent): void {
    if (start.current && event.isPrimary) setDrawn(between(start.current, pointAt(event)));
  }
  function onPointerUp(event: PointerEvent): void {
    if (!start.current || !event.isPrimary) return;
    const box = between(start.current, pointAt(event));
    start.current = null;
    setDrawn(null);
    if (isTiny(box)) return;
    if (several || event.shiftKey) {
      setSeveral(true);
      setBoxes([...boxes, box]);
    } else search([box]);
  }
  function onKeyDown(event: KeyboardEvent): void {
    if (event.target !== canvas.current) return;
    const last = boxes[boxes.length - 1];
    const others = boxes.slice(0, -1);
    const view = viewAfter(event.key, pan.view);
    const shift = MOVES[event.key];
    if (view) pan.set(view);
    else if (event.key === "Enter" && !last) setBoxes([MIDDLE]);
    else if (event.key === "Enter") search(boxes);
    else if ((event.key === "Delete" || event.key === "Backspace") && last) setBoxes(others);
    else if (shift && last) setBoxes([...others, moved(last, shift, event.shiftKey)]);
    else return;
    event.preventDefault();
  }
  const { scale, x, y } = pan.view;
  const shown = drawn ? [...boxes, drawn] : boxes;
  return (
    <dialog ref={dialog} class="drawing" aria-label="Draw boxes on the query picture" onCancel={close} onClose={close}>
      <header>
        <h2>{picture.name}</h2>
        <span class="count">{picture.w} × {picture.h} pixels</span>
        <button type="button" class="close" aria-label="Close" onClick={close}>✕</button>
      </header>
      <div
        ref={canvas}
        class={moving ? "canvas moving" : "canvas"}
        tabIndex={0}
        role="application"
        aria-label={`Query picture. ${HELP}`}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerCancel={() => { start.current = null; setDrawn(null); }}
        onKeyDown={onKeyDown}
      >
        <div class="stage" style={{
          width: `${fitting.width}px`, height: `${fitting.height}px`,
          transform: `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${scale})`,
        }}>
          <img src={picture.src} alt={picture.name} draggable={false} />
          {shown.map((share) => (
            <Mark row={{ id: 0, v: "", n: "", w: picture.w, h: picture.h, b: toBox(share, picture) }} />
          ))}
        </div>
      </div>
      <footer>
        <label><input type="checkbox" checked={several} onChange={(event) => setSeveral(event.currentTarget.checked)} /> Several boxes</label>
        <label><input type="checkbox" checked={moving} onChange={(event) => setMoving(event.currentTarget.checked)} /> Move the picture</label>
        <span class="zoom" role="group" aria-label="Zoom">
          <button type="button" aria-label="Smaller" onClick={() => pan.zoom(1 / 1.5)}>−</button>
          <button type="button" title="Whole picture (0)" onClick={() => pan.zoom(1 / 99)}>{Math.round(100 * scale)} %</button>
          <button type="button" aria-label="Larger" onClick={() => pan.zoom(1.5)}>+</button>
        </span>
        <Typed picture={picture} boxes={boxes} search={search} />
        <button type="button" disabled={!boxes.length} onClick={() => search([])}>Clear</button>
        <button type="button" class="main" onClick={() => search(boxes)}>
          {boxes.length ? "Search" : "Search with all of it"}
        </button>
      </footer>
    </dialog>
  );
}

interface TypedProps {
  picture: Picture;
  boxes: Share[];
  search(boxes: Share[]): void;
}

function Typed({ picture, boxes, search }: TypedProps) {
  const text = boxes.map((share) => toBox(share, picture).join(",")).join("; ");
  const [problem, setProblem] = useState("");
  return (
    <label class="typed">
      <span>Box in pixels</span>
      <input
        type="text"
        key={text}
        defaultValue={text}
        placeholder="x0,y0,x1,y1"
        aria-invalid={problem !== ""}
        title={problem}
        onChange={(event) => {
          const read = parse(event.currentTarget.value, picture);
          if (read) search(read);
          else setProblem("Four numbers inside the picture: x0,y0,x1,y1; further boxes after a semicolon");
        }}
      />
    </label>
  );
}
