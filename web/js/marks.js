/** The selection in a photo: a list of marks drawn over each other. All positions are in pixels of the photo as displayed. */

import { pen } from "./dom.js";
import { Refusal, pngOf } from "./photo.js";

const PAINT = "#ff12b0";

/** @typedef {{ x: number, y: number }} Point */
/** @typedef {{ x: number, y: number, w: number, h: number }} Box */
/**
 * `away` subtracts what the mark covers from the selection.
 * @typedef {{ kind: "stroke", away: boolean, size: number, points: Point[] }
 *   | { kind: "shape", away: boolean, points: Point[] }
 *   | { kind: "box", away: boolean, box: Box }
 *   | { kind: "found", away: boolean, picture: HTMLCanvasElement, left: number, top: number }
 *   | { kind: "clear", away: boolean }} Mark
 */

/** The marks of one picture, with their redo history. */
export class Marks {
  /** @type {Mark[]} */
  #all = [];
  #done = 0;

  get list() { return this.#all.slice(0, this.#done); }
  get canUndo() { return this.#done > 0; }
  get canRedo() { return this.#done < this.#all.length; }

  /** @param {Mark} mark */
  add(mark) {
    this.#all.splice(this.#done, Infinity, mark);
    this.#done += 1;
  }

  undo() { this.#done = Math.max(0, this.#done - 1); }
  redo() { this.#done = Math.min(this.#all.length, this.#done + 1); }

  /** Drops the last mark without a trace in the history. */
  drop() { this.#all.splice(--this.#done); }

  /** The marks that count: those since the last clear. */
  get present() {
    const list = this.list;
    return list.slice(list.findLastIndex((mark) => mark.kind === "clear") + 1);
  }

  get empty() { return !this.present.some((mark) => !mark.away); }

  /** The box, if the selection is exactly one box. */
  get onlyBox() {
    const [mark, ...more] = this.present;
    return mark?.kind === "box" && !mark.away && !more.length ? mark.box : null;
  }
}

/**
 * Draws a mark; of a stroke, only the part after point `from`.
 * @param {CanvasRenderingContext2D} ink
 * @param {Mark} mark
 */
export function draw(ink, mark, from = 0) {
  ink.globalCompositeOperation = mark.away ? "destination-out" : "source-over";
  ink.fillStyle = ink.strokeStyle = PAINT;
  if (mark.kind === "clear") ink.clearRect(0, 0, ink.canvas.width, ink.canvas.height);
  if (mark.kind === "box") ink.fillRect(mark.box.x, mark.box.y, mark.box.w, mark.box.h);
  if (mark.kind === "found") ink.drawImage(mark.picture, mark.left, mark.top);
  if (mark.kind === "shape") {
    ink.beginPath();
    for (const { x, y } of mark.points) ink.lineTo(x, y);
    ink.fill("evenodd");
  }
  if (mark.kind === "stroke") {
    ink.lineWidth = mark.size;
    for (let i = from; i < mark.points.length; i++) {
      const at = mark.points[i], before = mark.points[i - 1] ?? at;
      ink.beginPath();
      ink.arc(at.x, at.y, mark.size / 2, 0, 2 * Math.PI);
      ink.fill();
      ink.beginPath();
      ink.moveTo(before.x, before.y);
      ink.lineTo(at.x, at.y);
      ink.stroke();
    }
  }
}

/**
 * Redraws all marks.
 * @param {HTMLCanvasElement} canvas
 * @param {Marks} marks
 */
export function redraw(canvas, marks) {
  const ink = pen(canvas);
  ink.clearRect(0, 0, canvas.width, canvas.height);
  for (const mark of marks.present) draw(ink, mark);
}

/**
 * The painted selection as a PNG of the photo's size, white on black, combined with `others`, masks of the same photo.
 * @param {HTMLCanvasElement} painted
 * @param {Blob[]} others
 */
export async function maskFile(painted, others = []) {
  const { width, height } = painted;
  const copy = Object.assign(document.createElement("canvas"), { width, height }), ink = pen(copy);
  /** @param {GlobalCompositeOperation} how @param {string} colour */
  const fill = (how, colour) => {
    ink.globalCompositeOperation = how;
    ink.fillStyle = colour;
    ink.fillRect(0, 0, width, height);
  };
  ink.drawImage(painted, 0, 0);
  fill("source-in", "#fff");
  fill("destination-over", "#000");
  ink.globalCompositeOperation = "lighten";
  for (const other of others) ink.drawImage(await createImageBitmap(other), 0, 0);
  return pngOf(copy);
}

/**
 * Converts a mask file to a mark of a photo of `width` by `height` pixels: what is light and opaque, resampled by nearest neighbour,
 * as the service does.
 * @param {Blob} file
 * @param {number} width
 * @param {number} height
 * @param {boolean} away
 * @returns {Promise<Mark>}
 */
export async function markOf(file, width, height, away) {
  const bitmap = await createImageBitmap(file).catch(() => { throw new Refusal("This browser cannot read that mask."); });
  const { width: w, height: h } = bitmap, from = Object.assign(document.createElement("canvas"), { width: w, height: h });
  pen(from).drawImage(bitmap, 0, 0);
  const { data } = pen(from).getImageData(0, 0, w, h);
  /** @param {number} i */
  const light = (i) => (19595 * data[i] + 38470 * data[i + 1] + 7471 * data[i + 2]) / 65536 * data[i + 3] / 255 >= 127.5;
  const columns = Array.from({ length: width }, (_, x) => Math.floor((2 * x + 1) * w / (2 * width)));
  let left = width, right = 0, top = height, bottom = 0;
  const set = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((2 * y + 1) * h / (2 * height)) * w;
    for (let x = 0; x < width; x++) {
      if (!light(4 * (row + columns[x]))) continue;
      set[y * width + x] = 1;
      left = Math.min(left, x), right = Math.max(right, x + 1), top = Math.min(top, y), bottom = y + 1;
    }
  }
  if (left >= right) throw new Refusal("That mask is all black. White is what is erased.");
  const picture = Object.assign(document.createElement("canvas"), { width: right - left, height: bottom - top });
  const part = pen(picture).createImageData(right - left, bottom - top), pixels = new Uint32Array(part.data.buffer);
  const paint = 0xff000000 | 0xb0 << 16 | 0x12 << 8 | 0xff;
  for (let y = top, i = 0; y < bottom; y++) for (let x = left; x < right; x++, i++) if (set[y * width + x]) pixels[i] = paint;
  pen(picture).putImageData(part, 0, 0);
  return { kind: "found", away, picture, left, top };
}
