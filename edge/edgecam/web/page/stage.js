// Draws the newest picture, its heat map as strong as the viewer likes, its box and its name.

const MASK = 127; // cells above this are in the mask, as on the device
const EDGE = 18; // cells over which the map fades in, so that its rim is smooth
const AMBER = "#ffc828", INK = "#14181d";

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.map = document.createElement("canvas");
    this.shown = null;
    this.opacity = 0.5;
    this.marks = true;
    this.hidden = new Set();
  }

  show(picture) {
    if (this.shown) this.shown.bitmap.close();
    this.shown = picture;
    if (picture.heat) this.colour(picture.heat);
    this.draw();
  }

  clear() {
    if (this.shown) this.shown.bitmap.close();
    this.shown = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw() {
    if (!this.shown) return;
    const { bitmap, result, heat } = this.shown;
    const { canvas, context } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    context.globalAlpha = 1;
    context.drawImage(bitmap, 0, 0);
    if (this.hidden.has(result.label)) return;
    if (heat && this.opacity > 0) {
      context.globalAlpha = this.opacity;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.map, 0, 0, canvas.width, canvas.height);
      context.globalAlpha = 1;
    }
    if (this.marks) this.mark(result);
  }

  // Yellow at the mask's level to red at the peak: the colours of the device's own overlay.
  colour({ rows, columns, cells }) {
    this.map.width = columns;
    this.map.height = rows;
    const image = new ImageData(columns, rows);
    for (let i = 0; i < cells.length; i++) {
      const level = cells[i];
      image.data[4 * i] = 255;
      image.data[4 * i + 1] = Math.min(255, 2 * (255 - level));
      image.data[4 * i + 3] = 255 * Math.min(1, Math.max(0, (level - MASK + EDGE / 2) / EDGE));
    }
    this.map.getContext("2d").putImageData(image, 0, 0);
  }

  mark(result) {
    const { context, canvas } = this;
    const unit = Math.max(1, Math.min(canvas.width, canvas.height) / 360);
    const known = result.box !== null;
    const words = known ? `${result.label} ${Math.round(result.confidence * 100)} %` : result.label;
    const [left, top, right, bottom] = result.box || [0, 0, 0, 0];
    context.font = `600 ${14 * unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const height = 22 * unit;
    const width = Math.min(canvas.width, context.measureText(words).width + 14 * unit);
    if (known) {
      context.strokeStyle = AMBER;
      context.lineWidth = 2.5 * unit;
      const half = context.lineWidth / 2;
      context.strokeRect(left + half, top + half, right - left - 2 * half, bottom - top - 2 * half);
    }
    const x = Math.max(0, Math.min(left, canvas.width - width));
    const y = top >= height ? top - height : top;
    context.fillStyle = known ? AMBER : INK;
    context.fillRect(x, y, width, height);
    context.fillStyle = known ? INK : AMBER;
    context.fillText(words, x + 7 * unit, y + height / 2, width - 14 * unit);
  }
}
