// An image with boxes, once for each panel, or once with one panel left and the other right of a line.
// The line follows the pointer, and a range input that any keyboard moves.

const SVG = "http://www.w3.org/2000/svg";
const MIDDLE_PERCENT = 50;
const LINES_AWAY = [0, 1, -1, 2, -2, 3, -3, 4, -4];
const TEXT_PX = { large: 12, small: 11 };

let clips = 0;

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function make(name, className, ...children) {
  const element = document.createElement(name);
  element.className = className;
  element.append(...children);
  return element;
}

function meet(one, other) {
  return one.x < other.x + other.width && other.x < one.x + one.width
    && one.y < other.y + other.height && other.y < one.y + one.height;
}

class Panels {
  constructor(parent) {
    this.root = parent.querySelector(".panels");
    this.clip = `tms-clip-${clips++}`;
    this.percent = MIDDLE_PERCENT;
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  show(data) {
    const shown = JSON.stringify(data);
    if (this.shown === shown) return;
    const isAnother = this.data && this.data.picture.source !== data.picture.source;
    if (isAnother) this.percent = MIDDLE_PERCENT;
    this.shown = shown;
    this.data = data;
    this.root.classList.toggle("line", data.has_line);
    this.root.replaceChildren(...(data.has_line ? this.withLine() : data.panels.map((panel) => this.panel(panel))));
    this.resize();
    // Whoever opened it stands further down, before the list.
    if (isAnother && data.has_line) this.root.scrollIntoView({ block: "nearest" });
  }

  panel({ title, marks }) {
    const canvas = this.canvas(`${title}. ${this.data.label}`);
    canvas.append(...this.drawn(marks));
    return title ? make("div", "", make("div", "title", title), canvas) : canvas;
  }

  canvas(label) {
    const { source, width_px: width, height_px: height } = this.data.picture;
    return shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      shape("image", { href: source, width, height, preserveAspectRatio: "none" }));
  }

  // All names lie over all boxes, else the edge of one box would hide the name of another.
  drawn(marks) {
    return [...marks.map((mark) => this.box(mark)), ...marks.map((mark) => this.name(mark))];
  }

  box({ xyxy: [left, top, right, bottom], look }) {
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    return shape("g", { class: `mark ${look}` }, shape("rect", { ...place, class: "under" }), shape("rect", place));
  }

  name({ xyxy: [left, top, , bottom], text, look }) {
    const written = shape("text", { "data-left": left, "data-top": top, "data-bottom": bottom, "data-look": look }, text);
    return shape("g", { class: `mark ${look}` }, written);
  }

  withLine() {
    const { panels: [left, right], label, picture: { height_px: height } } = this.data;
    this.line = shape("line", { y1: 0, y2: height, class: "divider" });
    this.sides = [0, 1].map((side) => shape("rect", { y: 0, height, "data-side": side }));
    const canvas = this.canvas(label);
    canvas.append(
      shape("defs", {}, ...this.sides.map((rect, side) => shape("clipPath", { id: `${this.clip}-${side}` }, rect))),
      ...[left, right].map(({ marks }, side) => shape(
        "g", { "clip-path": `url(#${this.clip}-${side})` }, ...this.drawn(marks))),
      this.line);
    canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); this.pull(canvas, event); };
    canvas.onpointermove = (event) => { if (event.buttons) this.pull(canvas, event); };
    const titles = make("div", "titles", make("div", "title", `◀ ${left.title}`), make("div", "title", `${right.title} ▶`));
    return [titles, canvas, this.range(left.title, right.title)];
  }

  range(left, right) {
    this.input = make("input", "");
    Object.assign(this.input, { type: "range", min: 0, max: 100, value: this.percent });
    this.input.setAttribute("aria-label", `Line between ${left} on its left and ${right} on its right, in percent`);
    this.input.oninput = () => this.divide(Number(this.input.value));
    return this.input;
  }

  pull(canvas, event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(canvas.getScreenCTM().inverse());
    this.divide(Math.round(Math.min(100, Math.max(0, 100 * at.x / this.data.picture.width_px))));
  }

  divide(percent) {
    this.percent = percent;
    this.input.value = percent;
    const { width_px: width } = this.data.picture;
    const x = width * percent / 100;
    this.line.setAttribute("x1", x);
    this.line.setAttribute("x2", x);
    this.sides[0].setAttribute("x", 0);
    this.sides[0].setAttribute("width", x);
    this.sides[1].setAttribute("x", x);
    this.sides[1].setAttribute("width", width - x);
  }

  // Text has the same size on the screen, however large the image is.
  resize() {
    if (!this.data) return;
    const { width_px: width, height_px: height } = this.data.picture;
    for (const canvas of this.root.querySelectorAll("svg")) {
      const shown = Math.min(canvas.clientWidth / width, canvas.clientHeight / height) || 1;
      const size = (this.data.has_line ? TEXT_PX.large : TEXT_PX.small) / shown;
      const written = [];
      // What is drawn last lies on top, so it is written first.
      for (const text of [...canvas.querySelectorAll("text")].reverse()) {
        this.write(text, size);
        this.makeRoom(text, size, written);
      }
    }
    if (this.data.has_line) this.divide(this.percent);
  }

  write(text, size) {
    const { left, top, bottom, look } = text.dataset;
    const { width_px: width, height_px: height } = this.data.picture;
    text.setAttribute("font-size", size);
    text.setAttribute("stroke-width", size / 5);
    text.setAttribute("x", Math.max(0, Math.min(Number(left), width - text.getComputedTextLength())));
    const below = Math.min(Number(bottom) + size, height - size / 4);
    const above = Math.max(Number(top) - size / 3, size);
    text.setAttribute("y", look === "label" ? below : above);
  }

  // Names of boxes that lie close to each other would lie over each other: each goes to the nearest free line.
  makeRoom(text, size, written) {
    const start = Number(text.getAttribute("y"));
    const isFree = (box) => !written.some((other) => meet(box, other));
    for (const lines of LINES_AWAY) {
      const y = start + lines * size;
      if (y < size || y > this.data.picture.height_px) continue;
      text.setAttribute("y", y);
      if (isFree(text.getBBox())) break;
      text.setAttribute("y", start);
    }
    const box = text.getBBox();
    if (box.width) written.push(box);
  }
}

const shown = new WeakMap();

export default function ({ data, parentElement }) {
  if (!shown.has(parentElement)) shown.set(parentElement, new Panels(parentElement));
  shown.get(parentElement).show(data);
}
