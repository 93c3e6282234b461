// A picture on which a box can be drawn: by mouse, finger or keyboard; and a place to paste into.
// `data` has src, alt, box ([x0, y0, x1, y1] normalised, or null) and maxBytes.
// Triggers: `drawn` with a box or null, `pasted` with a data URL, `refused` with a sentence.
const SMALLEST = 0.01;
const STEP = 0.02;
const SETTLE_MS = 500;
// Where a drag began and what it has drawn, by frame: it continues when the page is redrawn.
const drags = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const frame = parentElement.querySelector(".frame");
  const image = parentElement.querySelector("img");
  const shade = parentElement.querySelector(".box");
  const empty = parentElement.querySelector(".empty");
  let { start, box } = drags.get(frame) || { start: null, box: data.box };
  let timer = null;

  const paint = () => {
    shade.hidden = !box;
    if (!box) return;
    const [x0, y0, x1, y1] = box;
    shade.style.left = `${100 * x0}%`;
    shade.style.top = `${100 * y0}%`;
    shade.style.width = `${100 * (x1 - x0)}%`;
    shade.style.height = `${100 * (y1 - y0)}%`;
  };
  const send = () => setTriggerValue("drawn", box ? { box } : { box: null });
  const sendSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(send, SETTLE_MS);
  };
  const clamp = (value) => Math.min(1, Math.max(0, value));
  const place = (event) => {
    const area = image.getBoundingClientRect();
    return [
      clamp((event.clientX - area.left) / area.width),
      clamp((event.clientY - area.top) / area.height),
    ];
  };
  const between = ([ax, ay], [bx, by]) => [
    Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by),
  ];

  empty.hidden = Boolean(data.src);
  image.hidden = !data.src;
  if (data.src && image.src !== data.src) image.src = data.src;
  image.alt = data.alt || "";
  paint();

  frame.onpointerdown = (event) => {
    if (!data.src || event.button !== 0) return;
    event.preventDefault();
    frame.focus();
    frame.setPointerCapture(event.pointerId);
    start = place(event);
    drags.set(frame, { start, box });
  };
  frame.onpointermove = (event) => {
    if (!start) return;
    box = between(start, place(event));
    drags.set(frame, { start, box });
    paint();
  };
  frame.onpointerup = (event) => {
    if (!start) return;
    box = between(start, place(event));
    start = null;
    drags.delete(frame);
    if (box[2] - box[0] < SMALLEST || box[3] - box[1] < SMALLEST) box = null;  // a click clears
    paint();
    if (box || data.box) send();
  };
  frame.onpointercancel = () => { start = null; drags.delete(frame); box = data.box; paint(); };
  frame.onkeydown = (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (!data.src) return;
    if (event.key === "Enter" && !box) box = [0.25, 0.25, 0.75, 0.75];
    else if ((event.key === "Delete" || event.key === "Backspace") && box) box = null;
    else if (moves[event.key] && box) {
      const [dx, dy] = moves[event.key];
      const [x0, y0, x1, y1] = box;
      if (event.shiftKey) {
        box = [x0, y0, Math.max(x0 + STEP, clamp(x1 + dx)), Math.max(y0 + STEP, clamp(y1 + dy))];
      } else {
        const mx = Math.max(-x0, Math.min(1 - x1, dx));
        const my = Math.max(-y0, Math.min(1 - y1, dy));
        box = [x0 + mx, y0 + my, x1 + mx, y1 + my];
      }
    } else return;
    event.preventDefault();
    paint();
    sendSoon();
  };

  const paste = (event) => {
    const file = [...(event.clipboardData?.files || [])][0];
    if (!file) return;
    event.preventDefault();
    if (file.size > data.maxBytes) {
      setTriggerValue("refused", `The pasted image has ${(file.size / 1e6).toFixed(0)} MB.`);
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("pasted", { src: reader.result });
    reader.readAsDataURL(file);
  };
  document.addEventListener("paste", paste);
  frame.dataset.ready = "yes";
  return () => {
    clearTimeout(timer);
    document.removeEventListener("paste", paste);
  };
}
