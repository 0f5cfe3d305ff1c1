// Tiles with images and their boxes. A click or Enter opens one; its check mark or Space selects it.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function make(name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

class Gallery {
  constructor(parent) {
    this.root = parent.querySelector(".gallery");
    this.root.onkeydown = (event) => this.key(event);
    this.selected = new Set();
    this.document = null;
  }

  show(data, setState, trigger) {
    this.setState = setState;
    this.trigger = trigger;
    this.root.setAttribute("aria-label", data.label);
    this.root.style.setProperty("--tile", `${data.tile_px}px`);
    if (this.document === data.document) return;
    const focused = this.tiles().indexOf(this.root.getRootNode().activeElement);
    this.document = data.document;
    this.data = data;
    this.selected = new Set(data.selected);
    this.root.replaceChildren(...data.tiles.map((tile, index) => this.tile(tile, index)));
    if (focused >= 0) this.tiles()[Math.min(focused, data.tiles.length - 1)]?.focus();
  }

  tiles() {
    return [...this.root.children];
  }

  tile(tile, index) {
    const element = make("div", "tile");
    element.tabIndex = index ? -1 : 0;
    element.setAttribute("role", "option");
    element.setAttribute("aria-label", tile.label);
    element.title = tile.label;
    element.append(this.picture(tile), make("div", "caption", tile.caption));
    if (tile.badge) element.append(make("div", "badge", tile.badge));
    if (this.data.selectable) element.append(this.pick(tile));
    element.onclick = (event) => (event.ctrlKey || event.metaKey ? this.select(index) : this.trigger(tile.id));
    this.mark(element, tile.id);
    return element;
  }

  picture({ source, width_px: width, height_px: height, boxes }) {
    const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    if (source) picture.append(shape("image", { href: source, width, height, preserveAspectRatio: "none" }));
    const line = Math.max(width, height) / 110;
    for (const { xyxy: [left, top, right, bottom], color, dashes } of boxes) {
      const place = { x: left, y: top, width: right - left, height: bottom - top, fill: "none" };
      const style = { "stroke-dasharray": (dashes || []).map((length) => length * line).join(" ") };
      picture.append(
        shape("rect", { ...place, stroke: "#000", "stroke-width": 2 * line }),
        shape("rect", { ...place, ...style, stroke: color, "stroke-width": line }));
    }
    return picture;
  }

  pick(tile) {
    // For the pointer alone: an option may hold no other control, and says itself that it is selected.
    const pick = make("span", "pick");
    pick.setAttribute("aria-hidden", "true");
    pick.title = "Select";
    pick.onclick = (event) => {
      event.stopPropagation();
      this.select(this.data.tiles.indexOf(tile));
    };
    return pick;
  }

  select(index) {
    if (!this.data.selectable) return;
    const { id } = this.data.tiles[index];
    if (!this.selected.delete(id)) this.selected.add(id);
    this.mark(this.tiles()[index], id);
    this.setState({ document: this.document, ids: [...this.selected] });
  }

  mark(element, id) {
    element.setAttribute("aria-selected", String(this.selected.has(id)));
  }

  key(event) {
    const tiles = this.tiles();
    const index = tiles.indexOf(event.target);
    if (index < 0) return;
    const columns = getComputedStyle(this.root).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (event.key in steps) this.focus(tiles, index + steps[event.key]);
    else if (event.key === "Enter") this.trigger(this.data.tiles[index].id);
    else if (event.key === " ") this.select(index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  focus(tiles, index) {
    if (!tiles[index]) return;
    for (const tile of tiles) tile.tabIndex = -1;
    tiles[index].tabIndex = 0;
    tiles[index].focus();
  }
}

const galleries = new WeakMap();

export default function ({ data, setStateValue, setTriggerValue, parentElement }) {
  if (!galleries.has(parentElement)) galleries.set(parentElement, new Gallery(parentElement));
  galleries.get(parentElement).show(
    data, (selection) => setStateValue("selection", selection), (id) => setTriggerValue("opened", id));
}
