var S={vertex:`#version 300 es
    uniform vec2 scale, offset;
    uniform float size;
    in vec2 point;
    in vec4 colour;
    out vec4 fill;
    void main() {
      gl_Position = vec4((2.0 * point - 1.0) * scale + offset, 0.0, colour.a > 0.0 ? 1.0 : 0.0);
      gl_PointSize = size + 1.0;
      fill = colour;
    }`,fragment:`#version 300 es
    precision highp float;
    uniform float size;
    in vec4 fill;
    out vec4 colour;
    void main() {
      float away = length(gl_PointCoord - 0.5) * (size + 1.0);
      float opacity = clamp(0.5 * size + 0.5 - away, 0.0, 1.0);
      if (opacity == 0.0) discard;
      colour = vec4(fill.rgb, fill.a * opacity);
    }`},w={vertex:`#version 300 es
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
    }`,fragment:`#version 300 es
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
    }`};function E(s,{vertex:t,fragment:e}){let r=s.createProgram();for(let[i,o]of[[s.VERTEX_SHADER,t],[s.FRAGMENT_SHADER,e]]){let n=s.createShader(i);if(!n)throw new Error("The graphics card is lost.");s.shaderSource(n,o),s.compileShader(n),s.attachShader(r,n)}if(s.linkProgram(r),!s.getProgramParameter(r,s.LINK_STATUS))throw new Error(s.getProgramInfoLog(r)??"");return r}function x([s,t],e,r,i){return[(s-r.width/2-i.x)/(e.width*i.scale)+.5,(t-r.height/2-i.y)/(e.height*i.scale)+.5]}var P=64,m=16,c=m*m,T=32,L=3,A=4e3,f=class{constructor(t,e,r){this.address=e;this.uses=r;let i=Math.ceil(t.count/c);this.bounds=Array.from({length:i},(o,n)=>_(t,n))}address;uses;bounds;loaded=new Map;loading=new Set;failed=new Map;gone=new AbortController;near(t){let e=this.onScreen(t).slice(0,T),r=[];for(let i of e){let o=this.loaded.get(i);o!==void 0?(this.loaded.delete(i),this.loaded.set(i,o),r.push({number:i,picture:o})):this.loading.size<L&&this.mayTry(i)&&this.load(i)}return r}close(){this.gone.abort();for(let t of this.loaded.values())this.uses.drop(t)}onScreen({place:t,fitting:e,view:r}){let[i,o]=x([0,0],e,t,r),[n,a]=x([t.width,t.height],e,t,r),[l,h]=[(i+n)/2,(o+a)/2],p=d=>{let[u,g,v,b]=this.bounds[d];return Math.hypot((u+g)/2-l,(v+b)/2-h)};return[...this.bounds.keys()].filter(d=>{let[u,g,v,b]=this.bounds[d];return u<=n&&g>=i&&v<=a&&b>=o}).sort((d,u)=>p(d)-p(u))}mayTry(t){return!this.loading.has(t)&&Date.now()-(this.failed.get(t)??0)>A}async load(t){this.loading.add(t);try{let e=await fetch(this.address(t),{signal:this.gone.signal});if(!e.ok)throw new Error(e.statusText);let r=await createImageBitmap(await e.blob());if(this.gone.signal.aborted)return;this.loaded.set(t,this.uses.make(r)),r.close(),this.dropOldest()}catch{this.failed.set(t,Date.now())}this.loading.delete(t),this.gone.signal.aborted||this.uses.onArrival()}dropOldest(){for(let[t,e]of this.loaded){if(this.loaded.size<=T)return;this.loaded.delete(t),this.uses.drop(e)}}};function _(s,t){let e=[1,0,1,0],r=Math.min(s.count,(t+1)*c);for(let i=t*c;i<r;i++){if(!s.passes[i])continue;let o=s.points[2*i],n=s.points[2*i+1];e[0]=Math.min(e[0],o),e[1]=Math.max(e[1],o),e[2]=Math.min(e[2],n),e[3]=Math.max(e[3],n)}return e}var R=2.5,z=2,y=class{constructor(t,e,r,i){this.spots=e;let o=this.canvas.getContext("webgl2",{antialias:!1});if(!o)throw new Error("There is no WebGL 2.");this.gl=o,this.points=E(o,S),this.pictures=E(o,w),this.places=this.buffer(e.points),this.shapes=this.buffer(e.shapes),this.fills=this.buffer(null),this.frames=this.buffer(null),o.enable(o.BLEND),o.blendFuncSeparate(o.SRC_ALPHA,o.ONE_MINUS_SRC_ALPHA,o.ONE,o.ONE_MINUS_SRC_ALPHA),this.sheets=new f(e,r,{make:n=>this.texture(n),drop:n=>o.deleteTexture(n),onArrival:()=>this.again()}),this.canvas.addEventListener("webglcontextlost",()=>i("The graphics card gave the map up.")),t.append(this.canvas)}spots;canvas=document.createElement("canvas");gl;points;pictures;places;shapes;fills;frames;sheets;last=null;waiting=0;paint({fills:t,frames:e}){this.fill(this.fills,t),this.fill(this.frames,e),this.again()}draw(t){this.last=t,this.again()}close(){cancelAnimationFrame(this.waiting),this.sheets.close(),this.gl.getExtension("WEBGL_lose_context")?.loseContext(),this.canvas.remove()}again(){cancelAnimationFrame(this.waiting),this.waiting=requestAnimationFrame(()=>{this.last&&this.drawNow(this.last)})}drawNow(t){let{gl:e}=this,r=Math.min(z,window.devicePixelRatio||1),[i,o]=[Math.round(t.place.width*r),Math.round(t.place.height*r)];(this.canvas.width!==i||this.canvas.height!==o)&&([this.canvas.width,this.canvas.height]=[i,o]),e.viewport(0,0,i,o),e.clearColor(0,0,0,0),e.clear(e.COLOR_BUFFER_BIT),this.drawPoints(t,r),t.picturePx!==null&&this.drawPictures(t,t.picturePx)}drawPoints(t,e){let{gl:r,points:i}=this;r.useProgram(i),this.place(i,t),this.number(i,"size",2*t.pointPx*e),this.attribute(i,"point",this.places,2,r.FLOAT,0,0),this.attribute(i,"colour",this.fills,4,r.UNSIGNED_BYTE,0,0),r.drawArrays(r.POINTS,0,this.spots.count)}drawPictures(t,e){let{gl:r,pictures:i}=this;r.useProgram(i),this.place(i,t),this.number(i,"side",e),this.number(i,"border",R),this.number(i,"cells",m),this.number(i,"cellPx",P),r.uniform2f(r.getUniformLocation(i,"place"),t.place.width,t.place.height);for(let{number:o,picture:n}of this.sheets.near(t)){let a=o*c;r.bindTexture(r.TEXTURE_2D,n),this.attribute(i,"point",this.places,2,r.FLOAT,a,1),this.attribute(i,"shape",this.shapes,1,r.FLOAT,a,1),this.attribute(i,"colour",this.frames,4,r.UNSIGNED_BYTE,a,1),r.drawArraysInstanced(r.TRIANGLE_STRIP,0,4,Math.min(c,this.spots.count-a))}}place(t,{place:e,fitting:r,view:i}){let{gl:o}=this,[n,a]=[r.width/e.width,r.height/e.height];o.uniform2f(o.getUniformLocation(t,"scale"),n*i.scale,-a*i.scale),o.uniform2f(o.getUniformLocation(t,"offset"),2*i.x/e.width,-2*i.y/e.height)}number(t,e,r){this.gl.uniform1f(this.gl.getUniformLocation(t,e),r)}attribute(t,e,r,i,o,n,a){let{gl:l}=this,h=l.getAttribLocation(t,e),p=o===l.FLOAT?4:1;l.bindBuffer(l.ARRAY_BUFFER,r),l.enableVertexAttribArray(h),l.vertexAttribPointer(h,i,o,o!==l.FLOAT,0,n*i*p),l.vertexAttribDivisor(h,a)}buffer(t){let e=this.gl.createBuffer();return t&&this.fill(e,t),e}fill(t,e){this.gl.bindBuffer(this.gl.ARRAY_BUFFER,t),this.gl.bufferData(this.gl.ARRAY_BUFFER,e,this.gl.STATIC_DRAW)}texture(t){let{gl:e}=this,r=e.createTexture();return e.bindTexture(e.TEXTURE_2D,r),e.texImage2D(e.TEXTURE_2D,0,e.RGB,e.RGB,e.UNSIGNED_BYTE,t),e.generateMipmap(e.TEXTURE_2D),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_MIN_FILTER,e.LINEAR_MIPMAP_LINEAR),e.texParameteri(e.TEXTURE_2D,e.TEXTURE_MAX_LEVEL,2),r}};export{y as Scene};
