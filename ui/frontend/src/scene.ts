// Drawing the map with WebGL 2: points when far, and the pictures themselves, out of sheets, when near.
import type { Size } from "./fit.ts";
import type { Look } from "./look.ts";
import type { View } from "./panzoom.ts";
import { linked, PICTURES, POINTS } from "./shaders.ts";
import { CELL_PX, CELLS, SHEET_IMAGES, Sheets } from "./sheets.ts";
import type { Spots } from "./spots.ts";

export interface Frame {
  place: Size; // of the map on the screen, in px
  fitting: Size; // of the plane on it, where nothing is zoomed
  view: View;
  pointPx: number; // radius
  picturePx: number | null; // the longer side of pictures, null where only points are drawn
}

const FRAME_PX = 2.5; // round a picture
const MOST_DENSE = 2; // device pixels of a px that are drawn at most

/** A map on the screen; it is drawn again with each call of `draw`. */
export class Scene {
  private readonly canvas = document.createElement("canvas");
  private readonly gl: WebGL2RenderingContext;
  private readonly points: WebGLProgram;
  private readonly pictures: WebGLProgram;
  private readonly places: WebGLBuffer;
  private readonly shapes: WebGLBuffer;
  private readonly fills: WebGLBuffer;
  private readonly frames: WebGLBuffer;
  private readonly sheets: Sheets<WebGLTexture>;
  private last: Frame | null = null;
  private waiting = 0;

  constructor(
    parent: HTMLElement,
    private readonly spots: Spots,
    sheetAddress: (number: number) => string,
    onFailure: (reason: string) => void,
  ) {
    const gl = this.canvas.getContext("webgl2", { antialias: false });
    if (!gl) throw new Error("There is no WebGL 2.");
    this.gl = gl;
    this.points = linked(gl, POINTS);
    this.pictures = linked(gl, PICTURES);
    this.places = this.buffer(spots.points);
    this.shapes = this.buffer(spots.shapes);
    this.fills = this.buffer(null);
    this.frames = this.buffer(null);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.sheets = new Sheets(spots, sheetAddress, {
      make: (picture) => this.texture(picture),
      drop: (texture) => gl.deleteTexture(texture),
      onArrival: () => this.again(),
    });
    this.canvas.addEventListener("webglcontextlost", () => onFailure("The graphics card gave the map up."));
    parent.append(this.canvas);
  }

  /** Colour the images. */
  paint({ fills, frames }: Look): void {
    this.fill(this.fills, fills);
    this.fill(this.frames, frames);
    this.again();
  }

  /** Draw with the next picture of the screen. */
  draw(frame: Frame): void {
    this.last = frame;
    this.again();
  }

  close(): void {
    cancelAnimationFrame(this.waiting);
    this.sheets.close();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.canvas.remove();
  }

  private again(): void {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => {
      if (this.last) this.drawNow(this.last);
    });
  }

  private drawNow(frame: Frame): void {
    const { gl } = this;
    const dense = Math.min(MOST_DENSE, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(frame.place.width * dense), Math.round(frame.place.height * dense)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    this.drawPoints(frame, dense);
    if (frame.picturePx !== null) this.drawPictures(frame, frame.picturePx);
  }

  private drawPoints(frame: Frame, dense: number): void {
    const { gl, points } = this;
    gl.useProgram(points);
    this.place(points, frame);
    this.number(points, "size", 2 * frame.pointPx * dense);
    this.attribute(points, "point", this.places, 2, gl.FLOAT, 0, 0);
    this.attribute(points, "colour", this.fills, 4, gl.UNSIGNED_BYTE, 0, 0);
    gl.drawArrays(gl.POINTS, 0, this.spots.count);
  }

  private drawPictures(frame: Frame, picturePx: number): void {
    const { gl, pictures } = this;
    gl.useProgram(pictures);
    this.place(pictures, frame);
    this.number(pictures, "side", picturePx);
    this.number(pictures, "border", FRAME_PX);
    this.number(pictures, "cells", CELLS);
    this.number(pictures, "cellPx", CELL_PX);
    gl.uniform2f(gl.getUniformLocation(pictures, "place"), frame.place.width, frame.place.height);
    for (const { number, picture } of this.sheets.near(frame)) {
      const first = number * SHEET_IMAGES;
      gl.bindTexture(gl.TEXTURE_2D, picture);
      this.attribute(pictures, "point", this.places, 2, gl.FLOAT, first, 1);
      this.attribute(pictures, "shape", this.shapes, 1, gl.FLOAT, first, 1);
      this.attribute(pictures, "colour", this.frames, 4, gl.UNSIGNED_BYTE, first, 1);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, Math.min(SHEET_IMAGES, this.spots.count - first));
    }
  }

  /** Say where the plane, from 0 to 1, is in the coordinates of the screen, from -1 to 1. */
  private place(program: WebGLProgram, { place, fitting, view }: Frame): void {
    const { gl } = this;
    const [across, down] = [fitting.width / place.width, fitting.height / place.height];
    gl.uniform2f(gl.getUniformLocation(program, "scale"), across * view.scale, -down * view.scale);
    gl.uniform2f(gl.getUniformLocation(program, "offset"), (2 * view.x) / place.width, (-2 * view.y) / place.height);
  }

  private number(program: WebGLProgram, name: string, value: number): void {
    this.gl.uniform1f(this.gl.getUniformLocation(program, name), value);
  }

  /** Let an attribute be read from a buffer, from an image on; bytes become 0 to 1. */
  private attribute(
    program: WebGLProgram, name: string, buffer: WebGLBuffer, size: number, type: number, first: number, each: number,
  ): void {
    const { gl } = this;
    const at = gl.getAttribLocation(program, name);
    const bytes = type === gl.FLOAT ? 4 : 1;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, type !== gl.FLOAT, 0, first * size * bytes);
    gl.vertexAttribDivisor(at, each);
  }

  private buffer(values: Float32Array | null): WebGLBuffer {
    const made = this.gl.createBuffer();
    if (values) this.fill(made, values);
    return made;
  }

  private fill(buffer: WebGLBuffer, values: Float32Array | Uint8Array): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.STATIC_DRAW);
  }

  private texture(picture: ImageBitmap): WebGLTexture {
    const { gl } = this;
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, picture);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAX_LEVEL, 2); // further ones would mix the cells
    return made;
  }
}
