// Draws an image with its boxes and lets a person change them. A box is {xyxy, class_id} in pixels of the image.
// While the same document is open, what is on the canvas counts; a new document replaces it.

const SVG = "http://www.w3.org/2000/svg";
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const LEAST_SIDE_PX = 3;
const NUDGE_SAVED_AFTER_MS = 300;
const MOST_ZOOM = 20;
const MOST_UNDONE = 100;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const copy = (boxes) => boxes.map((box) => ({ ...box, xyxy: [...box.xyxy] }));

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

class Editor {
  constructor(parent) {
    this.host = parent.querySelector(".editor");
    this.bar = parent.querySelector(".bar");
    this.canvas = parent.querySelector(".canvas");
    this.hint = parent.querySelector(".hint");
    this.document = null;
    this.boxes = [];
    this.undone = [];
    this.selected = -1;
    this.classId = 0;
    this.drag = null;
    this.listen();
  }

  listen() {
    this.canvas.onpointerdown = (event) => this.press(event);
    this.canvas.onpointermove = (event) => this.pull(event);
    this.canvas.onpointerup = () => this.release();
    this.canvas.onpointercancel = () => this.release();
    this.canvas.addEventListener("wheel", (event) => this.zoomByWheel(event), { passive: false });
    this.canvas.onkeydown = (event) => this.key(event);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  show(data, send) {
    this.send = send;
    this.data = data;
    if (this.document !== data.document) this.open(data);
    if (!this.drag) this.draw();
  }

  open(data) {
    this.document = data.document;
    this.boxes = copy(data.boxes);
    this.undone = [];
    this.selected = -1;
    this.view = [0, 0, data.width_px, data.height_px];
  }

  // Changes

  change(make) {
    if (this.data.readonly) return;
    this.remember();
    make();
    this.commit();
  }

  remember() {
    this.undone.push(copy(this.boxes));
    if (this.undone.length > MOST_UNDONE) this.undone.shift();
  }

  commit() {
    clearTimeout(this.nudged);
    this.send({ document: this.document, boxes: copy(this.boxes) });
    this.draw();
  }

  undo() {
    if (!this.undone.length) return;
    this.boxes = this.undone.pop();
    this.selected = -1;
    this.commit();
  }

  choose(classId) {
    if (classId >= this.data.classes.length) return;
    this.classId = classId;
    const box = this.boxes[this.selected];
    if (box && box.class_id !== classId) this.change(() => this.drawnByHand(box).class_id = classId);
    this.draw();
  }

  // What a person has touched is no longer the champion's.
  drawnByHand(box) {
    delete box.origin;
    delete box.confidence;
    return box;
  }

  remove() {
    if (this.selected < 0) return;
    this.change(() => this.boxes.splice(this.selected, 1));
    this.selected = -1;
    this.draw();
  }

  nudge(dx, dy) {
    const box = this.boxes[this.selected];
    if (!box || this.data.readonly) return;
    if (!this.nudged) this.remember();
    this.move(this.drawnByHand(box), box.xyxy, dx, dy);
    clearTimeout(this.nudged);
    this.nudged = setTimeout(() => { this.nudged = null; this.commit(); }, NUDGE_SAVED_AFTER_MS);
    this.draw();
  }

  move(box, [left, top, right, bottom], dx, dy) {
    const { width_px: width, height_px: height } = this.data;
    dx = clamp(dx, -left, width - right);
    dy = clamp(dy, -top, height - bottom);
    box.xyxy = [left + dx, top + dy, right + dx, bottom + dy];
  }

  resize(box, [left, top, right, bottom], [atX, atY], dx, dy) {
    if (atX === 0) left += dx;
    if (atX === 1) right += dx;
    if (atY === 0) top += dy;
    if (atY === 1) bottom += dy;
    box.xyxy = this.inside([left, top, right, bottom]);
  }

  inside([x1, y1, x2, y2]) {
    const { width_px: width, height_px: height } = this.data;
    const [left, right] = [x1, x2].sort((a, b) => a - b).map((x) => clamp(x, 0, width));
    const [top, bottom] = [y1, y2].sort((a, b) => a - b).map((y) => clamp(y, 0, height));
    return [left, top, right, bottom];
  }

  // Pointer

  place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.canvas.getScreenCTM().inverse());
    return [at.x, at.y];
  }

  press(event) {
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    if (event.button === 1 || event.shiftKey) {
      event.preventDefault();
      this.drag = { kind: "pan", from: [event.clientX, event.clientY], view: [...this.view] };
      return;
    }
    if (event.button === 0) this.grasp(event.target.dataset, this.place(event));
    this.draw();
  }

  grasp({ handle, box }, from) {
    if (handle !== undefined) this.begin("resize", from, HANDLES[Number(handle)]);
    else if (box !== undefined) {
      this.selected = Number(box);
      this.classId = this.boxes[this.selected].class_id;
      this.begin("move", from);
    } else if (this.data.readonly) this.selected = -1;
    else {
      const before = copy(this.boxes);
      this.boxes.push({ xyxy: [...from, ...from], class_id: this.classId });
      this.selected = this.boxes.length - 1;
      this.drag = { kind: "draw", from, before, xyxy: [...from, ...from] };
    }
  }

  begin(kind, from, handle) {
    if (this.data.readonly) return;
    this.drag = { kind, from, handle, before: copy(this.boxes), xyxy: [...this.boxes[this.selected].xyxy] };
  }

  pull(event) {
    const drag = this.drag;
    if (!drag) return;
    if (drag.kind === "pan") return this.pan(drag, event);
    const [x, y] = this.place(event);
    const [dx, dy] = [x - drag.from[0], y - drag.from[1]];
    const box = this.boxes[this.selected];
    if (drag.kind === "draw") box.xyxy = this.inside([...drag.from, x, y]);
    else if (drag.kind === "move") this.move(box, drag.xyxy, dx, dy);
    else this.resize(box, drag.xyxy, drag.handle, dx, dy);
    this.draw();
  }

  release() {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.kind === "pan") return;
    const box = this.boxes[this.selected];
    const [left, top, right, bottom] = box.xyxy;
    const isTooSmall = Math.min(right - left, bottom - top) < LEAST_SIDE_PX;
    if (isTooSmall || box.xyxy.every((value, index) => value === drag.xyxy[index])) {
      // A click, not a pull.
      this.boxes = drag.before;
      if (drag.kind === "draw") this.selected = -1;
      return this.draw();
    }
    this.undone.push(drag.before);
    this.drawnByHand(box);
    this.commit();
  }

  // View

  pan(drag, event) {
    const scale = this.view[2] / this.canvas.clientWidth;
    this.look(drag.view[0] - (event.clientX - drag.from[0]) * scale,
      drag.view[1] - (event.clientY - drag.from[1]) * scale, drag.view[2]);
  }

  zoomByWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 0.85 : 1 / 0.85, this.place(event));
  }

  zoom(factor, [x, y] = [this.view[0] + this.view[2] / 2, this.view[1] + this.view[3] / 2]) {
    const width = clamp(this.view[2] * factor, this.data.width_px / MOST_ZOOM, this.data.width_px);
    const share = width / this.view[2];
    this.look(x - (x - this.view[0]) * share, y - (y - this.view[1]) * share, width);
  }

  look(left, top, width) {
    const { width_px, height_px } = this.data;
    const height = width * height_px / width_px;
    this.view = [clamp(left, 0, width_px - width), clamp(top, 0, height_px - height), width, height];
    this.draw();
  }

  // Keys: those it does not know stay the page's.

  key(event) {
    const step = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowLeft: () => this.nudge(-step, 0), ArrowRight: () => this.nudge(step, 0),
      ArrowUp: () => this.nudge(0, -step), ArrowDown: () => this.nudge(0, step),
      Delete: () => this.remove(), Backspace: () => this.remove(),
      Escape: () => { this.selected = -1; this.look(0, 0, this.data.width_px); },
      "+": () => this.zoom(0.8), "-": () => this.zoom(1.25),
      "[": () => this.select(-1), "]": () => this.select(1),
    };
    let act = keys[event.key];
    if (event.key.startsWith("Arrow") && this.selected < 0) act = undefined;
    if (/^[1-9]$/.test(event.key)) act = () => this.choose(Number(event.key) - 1);
    if ((event.ctrlKey || event.metaKey) && event.key === "z") act = () => this.undo();
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  select(step) {
    if (!this.boxes.length) return;
    this.selected = (this.selected + step + this.boxes.length) % this.boxes.length;
    this.draw();
  }

  // Drawing

  draw() {
    if (!this.data || !this.view) return;
    this.canvas.setAttribute("viewBox", this.view.join(" "));
    this.canvas.setAttribute("aria-label", this.data.label);
    this.canvas.classList.toggle("readonly", this.data.readonly);
    const scale = this.view[2] / Math.max(1, this.canvas.clientWidth);
    const { width_px: width, height_px: height, source } = this.data;
    this.canvas.replaceChildren(shape("image", { href: source, x: 0, y: 0, width, height }));
    for (const layer of this.data.layers) for (const box of layer.boxes) this.drawLayer(layer, box, scale);
    this.boxes.forEach((box, index) => this.drawBox(box, index, scale));
    this.drawBar();
    this.hint.textContent = this.data.hint;
  }

  drawLayer(layer, box, scale) {
    const [left, top, right, bottom] = box.xyxy;
    const dashes = layer.dashes.map((length) => length * scale).join(" ");
    const style = { fill: "none", "stroke-dasharray": dashes, "pointer-events": "none" };
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    this.canvas.append(
      shape("rect", { ...place, ...style, stroke: "#000", "stroke-width": 3 * scale }),
      shape("rect", { ...place, ...style, stroke: layer.color, "stroke-width": 1.5 * scale }));
    this.write(`${layer.name}: ${this.nameOf(box)}`, left, bottom + 13 * scale, layer.color, scale);
  }

  drawBox(box, index, scale) {
    const [left, top, right, bottom] = box.xyxy;
    const { color } = this.data.classes[box.class_id];
    const isSelected = index === this.selected;
    const body = shape("rect", {
      x: left, y: top, width: right - left, height: bottom - top, fill: color, stroke: color,
      "fill-opacity": isSelected ? 0.25 : 0.06, "stroke-width": (isSelected ? 3 : 2) * scale,
      "stroke-dasharray": box.origin ? `${2 * scale} ${3 * scale}` : "none",
      style: this.data.readonly ? "" : "cursor: move",
    });
    body.dataset.box = index;
    this.canvas.append(body);
    this.write(this.nameOf(box), left, top - 4 * scale, color, scale);
    if (isSelected && !this.data.readonly) HANDLES.forEach((handle, number) => this.drawHandle(box, handle, number, scale));
  }

  drawHandle(box, [atX, atY], number, scale) {
    const [left, top, right, bottom] = box.xyxy;
    const side = 10 * scale;
    const handle = shape("rect", {
      x: left + (right - left) * atX - side / 2, y: top + (bottom - top) * atY - side / 2, width: side, height: side,
      fill: "#fff", stroke: "#000", "stroke-width": scale, style: "cursor: pointer",
    });
    handle.dataset.handle = number;
    this.canvas.append(handle);
  }

  nameOf(box) {
    const { name } = this.data.classes[box.class_id];
    const sure = box.confidence === undefined ? "" : ` ${box.confidence.toFixed(2)}`;
    return box.origin ? `${name} (filled${sure})` : `${name}${sure}`;
  }

  write(text, x, y, color, scale) {
    this.canvas.append(shape("text", {
      x, y: Math.max(this.view[1] + 13 * scale, y), "font-size": 13 * scale, fill: color, stroke: "#000",
      "stroke-width": 3 * scale, "paint-order": "stroke", "pointer-events": "none",
    }, text));
  }

  drawBar() {
    this.bar.replaceChildren(...this.data.classes.map(({ name, color }, classId) => {
      const button = document.createElement("button");
      button.textContent = `${classId + 1} ${name}`;
      button.style.borderLeftColor = color;
      button.setAttribute("aria-pressed", String(classId === this.classId));
      button.onclick = () => this.choose(classId);
      return button;
    }));
    this.bar.hidden = this.data.readonly;
  }
}

const editors = new WeakMap();

export default function ({ data, setStateValue, parentElement }) {
  if (!editors.has(parentElement)) editors.set(parentElement, new Editor(parentElement));
  editors.get(parentElement).show(data, (edit) => setStateValue("edit", edit));
}
