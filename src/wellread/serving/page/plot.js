// Points on a canvas: zoom, pan, hover, lasso, and all of it by keyboard too.
import { element } from "./dom.js";

const REACH = 14; // pixels from a point to a pointer that means it
const EDGE = 24;

export class Plot {
  // `chosen` is told of the rows in the lasso, `pointed` of the row under the pointer, or null.
  constructor(points, groups, { chosen, pointed }) {
    Object.assign(this, { points, groups, chosen, pointed });
    this.selected = new Set();
    this.current = null;
    this.lasso = null;
    this.drawing = false; // whether a drag draws a lasso, and does not move the map
    this.pointers = new Map();
    this.canvas = element("canvas", {
      tabIndex: 0, role: "img", class: "plot",
      "aria-label": `Map of ${points.length} texts. Arrows move from text to text, space selects, plus and minus zoom, 0 shows all.`,
    });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave", "wheel", "keydown", "blur", "focus"]) {
      this.canvas.addEventListener(name, (event) => this[name](event), { passive: false });
    }
    this.reset();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  reset() {
    this.scale = 1;
    this.shift = [0, 0];
    this.draw();
  }

  // Where the points lie, in pixels of the page.
  places() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const columns = this.points.map((point) => Math.abs(point[0])), rows = this.points.map((point) => Math.abs(point[1]));
    const across = columns.reduce((a, b) => Math.max(a, b), 1e-9), down = rows.reduce((a, b) => Math.max(a, b), 1e-9);
    return this.points.map(([x, y]) => [
      width / 2 + this.shift[0] + (x / across) * (width / 2 - EDGE) * this.scale,
      height / 2 + this.shift[1] - (y / down) * (height / 2 - EDGE) * this.scale,
    ]);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    context.scale(ratio, ratio);
    const places = this.places();
    places.forEach(([x, y], row) => {
      const on = this.selected.has(row);
      context.beginPath();
      context.arc(x, y, on ? 6 : 4.5, 0, 2 * Math.PI);
      context.globalAlpha = this.selected.size && !on ? 0.35 : 0.85;
      context.fillStyle = colour(`--group-${(this.groups[row] ?? 0) % 8}`);
      context.fill();
      context.globalAlpha = 1;
      if (on || row === this.current) {
        context.lineWidth = row === this.current ? 3 : 1.5;
        context.strokeStyle = colour("--text");
        context.stroke();
      }
    });
    if (this.lasso?.length > 1) {
      context.beginPath();
      this.lasso.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.strokeStyle = colour("--text");
      context.stroke();
    }
  }

  point(row) {
    if (row === this.current) return;
    this.current = row;
    this.pointed(row, row === null ? null : this.places()[row]);
    this.draw();
  }

  select(rows) {
    this.selected = new Set(rows);
    this.chosen([...this.selected].sort((a, b) => a - b));
    this.draw();
  }

  zoom(factor, [x, y] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const scale = Math.max(0.5, Math.min(50, this.scale * factor));
    const middle = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const ratio = scale / this.scale;
    this.shift = this.shift.map((each, i) => ([x, y][i] - middle[i]) * (1 - ratio) + each * ratio);
    this.scale = scale;
    this.draw();
  }

  near([x, y]) {
    let best = null, least = REACH;
    this.places().forEach((place, row) => {
      const far = Math.hypot(place[0] - x, place[1] - y);
      if (far < least) [best, least] = [row, far];
    });
    return best;
  }

  pointerdown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if ((this.drawing || event.shiftKey) && this.pointers.size === 1) this.lasso = [[event.offsetX, event.offsetY]];
    if (this.pointers.size > 1) this.lasso = null;
  }

  pointermove(event) {
    const place = [event.offsetX, event.offsetY], before = this.pointers.get(event.pointerId);
    if (!before) return this.point(this.near(place));
    const spread = () => {
      const [a, b] = [...this.pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    };
    const apart = this.pointers.size === 2 ? spread() : null;
    this.pointers.set(event.pointerId, place);
    if (this.lasso) this.lasso.push(place), this.draw();
    else if (apart) this.zoom(spread() / apart, place);
    else {
      this.shift = this.shift.map((each, i) => each + place[i] - before[i]);
      this.draw();
    }
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
    const lasso = this.lasso;
    this.lasso = null;
    if (lasso?.length > 2) {
      const rows = this.places().flatMap((place, row) => (inside(place, lasso) ? [row] : []));
      this.select(event.ctrlKey || event.metaKey ? [...this.selected, ...rows] : rows);
    } else this.point(this.near([event.offsetX, event.offsetY]));
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
    this.lasso = null;
    this.draw();
  }

  pointerleave() {
    if (document.activeElement !== this.canvas) this.point(null);
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 300), [event.offsetX, event.offsetY]);
  }

  focus() {
    if (this.current === null && this.points.length && this.canvas.matches(":focus-visible")) this.point(0);
  }

  blur() {
    this.point(null);
  }

  keydown(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) this.step(steps[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "0") this.reset();
    else if (event.key === "Escape") this.select([]);
    else if (event.key === " " && this.current !== null) {
      this.select(this.selected.has(this.current) ? [...this.selected].filter((row) => row !== this.current) : [...this.selected, this.current]);
    } else return;
    event.preventDefault();
  }

  // Go to the point that lies best in a direction: near, and not far to the side.
  step([across, down]) {
    const places = this.places(), from = places[this.current ?? 0];
    let best = this.current ?? 0, least = Infinity;
    places.forEach(([x, y], row) => {
      const along = (x - from[0]) * across + (y - from[1]) * down;
      const aside = Math.abs((x - from[0]) * down) + Math.abs((y - from[1]) * across);
      if (along > 0.5 && along + 2 * aside < least) [best, least] = [row, along + 2 * aside];
    });
    this.point(best);
  }
}

// Whether a place lies in a closed line: a ray from it crosses the line an odd number of times.
export function inside([x, y], line) {
  let within = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [ax, ay] = line[i], [bx, by] = line[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}
