// A small plot of the last two minutes, one point a second. Gaps stay gaps: nothing is drawn where nothing was.

const SECONDS = 120;

export class Plot {
  // `line` and `top` give a second's value and the upper edge of its band.
  constructor(canvas, unit, line, top = null) {
    this.canvas = canvas;
    this.unit = unit;
    this.line = line;
    this.top = top;
    this.points = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.points.clear();
  }

  add(seconds) {
    for (const second of seconds) this.points.set(second.at, second);
    for (const at of this.points.keys()) {
      if (this.points.size <= SECONDS * 2) break;
      this.points.delete(at);
    }
    this.draw();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const newest = Math.max(...this.points.keys(), 0);
    const shown = [...this.points.values()].filter((p) => p.at > newest - SECONDS).sort((a, b) => a.at - b.at);
    const highest = nice(Math.max(1, ...shown.map((p) => (this.top || this.line)(p))));
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const x = (at) => width - 4 - ((newest - at) / SECONDS) * (width - 52);
    const y = (value) => height - 6 - (value / highest) * (height - 16);
    this.axis(context, highest, width, y, colour);
    for (const run of runs(shown)) {
      if (this.top) this.band(context, run, x, y, colour("--plot-soft"));
      this.stroke(context, run, x, y, colour("--plot"));
    }
  }

  axis(context, highest, width, y, colour) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 1;
    for (const value of [0, highest / 2, highest]) {
      context.strokeStyle = colour("--line");
      context.beginPath();
      context.moveTo(46, Math.round(y(value)) + 0.5);
      context.lineTo(width, Math.round(y(value)) + 0.5);
      context.stroke();
      context.fillStyle = colour("--soft");
      context.textAlign = "right";
      context.fillText(`${value}${this.unit}`, 40, y(value));
    }
  }

  band(context, run, x, y, colour) {
    context.fillStyle = colour;
    context.beginPath();
    run.forEach((p) => context.lineTo(x(p.at), y(this.top(p))));
    [...run].reverse().forEach((p) => context.lineTo(x(p.at), y(this.line(p))));
    context.fill();
  }

  stroke(context, run, x, y, colour) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.beginPath();
    run.forEach((p) => context.lineTo(x(p.at), y(this.line(p))));
    context.stroke();
    if (run.length === 1) context.fillRect(x(run[0].at) - 1, y(this.line(run[0])) - 1, 2.5, 2.5);
  }
}

// Pieces without a second missing.
function runs(points) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1);
    if (last && point.at - last.at(-1).at <= 1) last.push(point);
    else found.push([point]);
  }
  return found;
}

// The next of 1, 2, 4, 5, 10, 20, … that is not below.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value);
}
