// What runs on the graphics card for the map: points as discs, and pictures out of a sheet with a frame.

interface Program {
  vertex: string;
  fragment: string;
}

export const POINTS: Program = {
  vertex: `#version 300 es
    uniform vec2 scale, offset;
    uniform float size;
    in vec2 point;
    in vec4 colour;
    out vec4 fill;
    void main() {
      gl_Position = vec4((2.0 * point - 1.0) * scale + offset, 0.0, colour.a > 0.0 ? 1.0 : 0.0);
      gl_PointSize = size + 1.0;
      fill = colour;
    }`,
  fragment: `#version 300 es
    precision highp float;
    uniform float size;
    in vec4 fill;
    out vec4 colour;
    void main() {
      float away = length(gl_PointCoord - 0.5) * (size + 1.0);
      float opacity = clamp(0.5 * size + 0.5 - away, 0.0, 1.0);
      if (opacity == 0.0) discard;
      colour = vec4(fill.rgb, fill.a * opacity);
    }`,
};

/** Each instance is a picture: in its place of the sheet, `side` px long, in a frame of its colour. */
export const PICTURES: Program = {
  vertex: `#version 300 es
    uniform vec2 scale, offset, place;
    uniform float side, border, cells, cellPx;
    in vec2 point;
    in float shape;
    in vec4 colour;
    out vec2 inner;
    out vec2 size;
    out vec4 frame;
    flat out vec4 cell;
    void main() {
      size = side * vec2(min(1.0, shape), min(1.0, 1.0 / shape));
      vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
      inner = corner * (size + 2.0 * border) - border;
      vec2 shift = (inner - 0.5 * size) * vec2(2.0, -2.0) / place;
      vec2 middle = (2.0 * point - 1.0) * scale + offset;
      gl_Position = colour.a > 0.0 ? vec4(middle + shift, 0.0, 1.0) : vec4(0.0);
      frame = colour;
      float number = float(gl_InstanceID);
      vec2 extent = max(vec2(1.0), round(cellPx * size / side)) - 1.0;
      cell = vec4(cellPx * vec2(mod(number, cells), floor(number / cells)) + 0.5, extent) / (cells * cellPx);
    }`,
  fragment: `#version 300 es
    precision highp float;
    uniform sampler2D sheet;
    in vec2 inner;
    in vec2 size;
    in vec4 frame;
    flat in vec4 cell;
    out vec4 colour;
    void main() {
      vec2 share = clamp(inner / size, 0.0, 1.0);
      vec3 picture = texture(sheet, cell.xy + share * cell.zw).rgb;
      bool inside = all(greaterThanEqual(inner, vec2(0.0))) && all(lessThanEqual(inner, size));
      colour = vec4(inside ? picture : frame.rgb, frame.a);
    }`,
};

/** Return a program that is ready to be used; raises an error with what the graphics card says. */
export function linked(gl: WebGL2RenderingContext, { vertex, fragment }: Program): WebGLProgram {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(type);
    if (!shader) throw new Error("The graphics card is lost.");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "");
  return program;
}
