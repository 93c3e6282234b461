// Drawing the map with deck.gl: points when far, and the pictures themselves, out of sheets, when near.
import { Deck, type Layer, OrthographicView } from "@deck.gl/core";
import { IconLayer, ScatterplotLayer } from "@deck.gl/layers";
import type { Size } from "./fit.ts";
import { CELL_PX, CELLS, SHEET_IMAGES, Sheets } from "./sheets.ts";
import type { Spots } from "./spots.ts";
import type { View } from "./panzoom.ts";

/** How images look: RGBA of each, of its point and of the frame of its picture. */
export interface Look {
  fills: Uint8Array;
  frames: Uint8Array;
}

export interface Frame {
  place: Size; // of the map on the screen, in px
  fitting: Size; // of the plane on it, where nothing is zoomed
  view: View;
  pointPx: number; // radius
  picturePx: number | null; // the longer side of pictures, null where only points are drawn
}

const FRAME_PX = 2.5; // round a picture
const PLATE_PX = 64;
const DEPTH_PX = 50; // between the lowest and the highest picture

/** A map on the screen; it is drawn again with each call of `draw`. */
export class Scene {
  private readonly deck: Deck<OrthographicView>;
  private readonly sheets: Sheets;
  private readonly plate = whitePlate();
  private look: Look | null = null;
  private looks = 0; // how many there were: tells deck.gl that colours have changed
  private last: Frame | null = null;

  constructor(
    parent: HTMLElement,
    private readonly spots: Spots,
    sheetAddress: (number: number) => string,
    onFailure: (reason: string) => void,
  ) {
    this.sheets = new Sheets(spots, sheetAddress, () => this.again());
    this.deck = new Deck({
      parent: parent as HTMLDivElement,
      views: new OrthographicView({ id: "map" }),
      controller: false,
      viewState: { target: [0, 0, 0], zoom: 0 },
      layers: [],
      pickingRadius: 0,
      onError: (error) => onFailure(error.message),
    });
  }

  paint(look: Look): void {
    this.look = look;
    this.looks += 1;
    this.again();
  }

  draw(frame: Frame): void {
    this.last = frame;
    const { fitting, view } = frame;
    this.deck.setProps({
      viewState: {
        target: [fitting.width / 2 - view.x / view.scale, fitting.height / 2 - view.y / view.scale, 0],
        zoom: Math.log2(view.scale),
      },
      layers: this.look ? [this.pointLayer(frame, this.look), ...this.pictureLayers(frame, this.look)] : [],
    });
  }

  close(): void {
    this.deck.finalize();
    this.sheets.close();
  }

  private again(): void {
    if (this.last) this.draw(this.last);
  }

  private pointLayer({ fitting, pointPx }: Frame, look: Look): Layer {
    return new ScatterplotLayer({
      id: "points",
      data: {
        length: this.spots.count,
        attributes: {
          getPosition: { value: this.spots.points, size: 2 },
          getFillColor: { value: look.fills, size: 4, normalized: true },
        },
      },
      modelMatrix: stretched(fitting, 1),
      radiusUnits: "pixels",
      getRadius: 1,
      radiusScale: pointPx,
      parameters: { depthCompare: "always", depthWriteEnabled: false },
      updateTriggers: { getFillColor: this.looks },
    });
  }

  private pictureLayers(frame: Frame, look: Look): Layer[] {
    const { picturePx, fitting, view } = frame;
    if (picturePx === null) return [];
    return this.sheets.near(frame).flatMap(({ number, picture }) => {
      const first = number * SHEET_IMAGES;
      const count = Math.min(SHEET_IMAGES, this.spots.count - first);
      const data = Array.from({ length: count }, (_, cell) => first + cell);
      const common = {
        data,
        modelMatrix: stretched(fitting, 1 / view.scale),
        sizeUnits: "pixels" as const,
        sizeScale: picturePx,
        parameters: { depthCompare: "less-equal" as const, depthWriteEnabled: true },
        updateTriggers: { getColor: this.looks, getSize: this.looks },
      };
      const grown = 1 + (2 * FRAME_PX) / picturePx;
      return [
        new IconLayer<number>({
          ...common,
          id: `frames-${number}`,
          iconAtlas: this.plate as unknown as Atlas,
          iconMapping: this.cells(first, count, true),
          getIcon: String,
          getPosition: (place) => this.positionOf(place, 0),
          sizeScale: picturePx * grown,
          getSize: (place) => this.heightOf(place),
          getColor: (place) => rgba(look.frames, place),
        }),
        new IconLayer<number>({
          ...common,
          id: `pictures-${number}`,
          iconAtlas: picture as unknown as Atlas,
          iconMapping: this.cells(first, count, false),
          getIcon: String,
          getPosition: (place) => this.positionOf(place, 0.5),
          getSize: (place) => this.heightOf(place),
          getColor: (place) => [255, 255, 255, look.frames[4 * place + 3]!],
        }),
      ];
    });
  }

  /** Return where an image is; `above` others by its place in its sheet, so that frames show. */
  private positionOf(place: number, above: number): [number, number, number] {
    const z = DEPTH_PX * (((place % SHEET_IMAGES) + above) / SHEET_IMAGES - 1); // the eye is near 0
    return [this.spots.points[2 * place]!, this.spots.points[2 * place + 1]!, z];
  }

  /** Return the height of a picture as a share of its longer side; 0 for one that is left out. */
  private heightOf(place: number): number {
    return this.spots.passes[place] ? Math.min(1, 1 / this.spots.shapes[place]!) : 0;
  }

  private readonly mappings = new Map<string, Record<string, Cell>>();

  /** Return where in a sheet each picture is, or, for frames, a part of the plate of its shape. */
  private cells(first: number, count: number, isFrame: boolean): Record<string, Cell> {
    const key = `${first} ${isFrame}`;
    const known = this.mappings.get(key);
    if (known) return known;
    const found: Record<string, Cell> = {};
    for (let cell = 0; cell < count; cell++) {
      const shape = this.spots.shapes[first + cell]!;
      const width = Math.max(1, Math.round(Math.min(1, shape) * CELL_PX));
      const height = Math.max(1, Math.round(Math.min(1, 1 / shape) * CELL_PX));
      const x = isFrame ? 0 : (cell % CELLS) * CELL_PX;
      const y = isFrame ? 0 : Math.floor(cell / CELLS) * CELL_PX;
      found[String(first + cell)] = { x, y, width, height, mask: isFrame };
    }
    this.mappings.set(key, found);
    return found;
  }
}

// deck.gl takes plain numbers for a matrix, and pictures for a texture; its types say less.
type Matrix = NonNullable<ScatterplotLayer["props"]["modelMatrix"]>;
type Atlas = string;

interface Cell {
  x: number;
  y: number;
  width: number;
  height: number;
  mask: boolean;
}

function rgba(colours: Uint8Array, place: number): [number, number, number, number] {
  return [colours[4 * place]!, colours[4 * place + 1]!, colours[4 * place + 2]!, colours[4 * place + 3]!];
}

/** Return the matrix that stretches the plane, from 0 to 1, to its size on the screen. */
function stretched({ width, height }: Size, depth: number): Matrix {
  return [width, 0, 0, 0, 0, height, 0, 0, 0, 0, depth, 0, 0, 0, 0, 1] as Matrix;
}

function whitePlate(): ImageData {
  const plate = new ImageData(PLATE_PX, PLATE_PX);
  plate.data.fill(255);
  return plate;
}
