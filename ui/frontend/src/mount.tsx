// A component as Streamlit calls it: drawn into its own root, again with each new data.
import { type ComponentType, h, render } from "preact";
import type { Mounted } from "./types.ts";
import collection from "./collection.css";
import style from "./style.css";

/** Return what Streamlit calls; it is called again with new data, and may be called late. */
export function mount<Data>(name: string, View: ComponentType<Mounted<Data>>) {
  return (component: Mounted<Data>): (() => void) => {
    const root = rootOf(component.parentElement, name);
    render(h(View, component), root);
    // Streamlit also ends a call that a newer one has overtaken; the newer one has the same root.
    return () => queueMicrotask(() => root.isConnected || render(null, root));
  };
}

function rootOf(parent: ShadowRoot | HTMLElement, name: string): HTMLElement {
  const found = parent.querySelector<HTMLElement>(":scope > .cbir, .cbir");
  if (found) return found;
  const sheet = document.createElement("style");
  sheet.textContent = style + collection;
  const root = document.createElement("div");
  root.className = `cbir cbir-${name}`;
  parent.append(sheet, root);
  return root;
}
