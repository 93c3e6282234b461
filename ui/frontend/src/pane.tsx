// A picture in its pane, zoomed and moved, with what is drawn over it.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useConnection } from "./connection.ts";
import { fit, type Size } from "./fit.ts";
import type { PanZoom } from "./panzoom.ts";

interface Props {
  name: string; // for those who hear it
  src: string;
  behind?: string; // a smaller picture to show until then
  size: Size; // of the original
  pan: PanZoom;
  onPlace?: (place: Size) => void;
  children?: ComponentChildren;
}

export function Pane({ name, src, behind, size, pan, onPlace, children }: Props) {
  const pane = useRef<HTMLDivElement>(null);
  const place = useSize(pane, onPlace);
  const fitting = fit(size, place);
  const [failed, setFailed] = useState(false);
  const { away, returns } = useConnection();
  useEffect(() => setFailed(false), [src, returns]);
  useEffect(() => pane.current ? pan.attach(pane.current, () => true) : undefined, [pan.attach]);
  const { scale, x, y } = pan.view;
  return (
    <div class="pane" ref={pane} onDblClick={() => pan.zoom(scale > 1 ? 1 / scale : 2.5)}>
      <div
        class="stage"
        style={{
          width: `${fitting.width}px`,
          height: `${fitting.height}px`,
          transform: `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${scale})`,
        }}
      >
        {behind && <img class="behind" src={behind} alt="" />}
        {failed ? (
          <span class="plate">{away ? "The server does not answer." : "The file is missing or cannot be read."}</span>
        ) : (
          <img src={src} alt={name} draggable={false} onError={() => setFailed(true)} />
        )}
        {children}
      </div>
    </div>
  );
}

/** Return the size of an element as it changes. */
export function useSize(
  element: { current: HTMLElement | null },
  tell?: (size: Size) => void,
): Size {
  const [size, setSize] = useState<Size>({ width: 1, height: 1 });
  useLayoutEffect(() => {
    const measured = element.current;
    if (!measured) return;
    const measure = () => {
      const now = { width: measured.clientWidth, height: measured.clientHeight };
      setSize(now);
      tell?.(now);
    };
    measure();
    const watching = new ResizeObserver(measure);
    watching.observe(measured);
    return () => watching.disconnect();
  }, [element]);
  return size;
}
