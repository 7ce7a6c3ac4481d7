/** The mapping between photo and stage: zoom and pan. */

import { $, clamp } from "./dom.js";

/** @typedef {import("./marks.js").Point} Point */

const NEAREST = 16;

export class View {
  /** Size of the photo in pixels. */
  width = 1;
  height = 1;
  /** Stage pixels per photo pixel, and the position of the photo's corner. */
  scale = 1;
  left = 0;
  top = 0;
  #fitted = true;
  /** @type {() => void} */
  #changed;

  /** @param {() => void} changed Called when the mapping changes. */
  constructor(changed) {
    this.#changed = changed;
    new ResizeObserver(() => this.#fitted ? this.fit() : this.#place()).observe($("view"));
  }

  get #stage() { return { width: $("view").clientWidth, height: $("view").clientHeight }; }

  get fitting() {
    const { width, height } = this.#stage;
    return Math.min(width / this.width, height / this.height) || 1;
  }

  /** Fits the whole photo. */
  fit() {
    this.#fitted = true;
    this.scale = this.fitting;
    this.left = this.top = 0;
    this.#place();
  }

  /** @param {number} width @param {number} height */
  shape(width, height) {
    const same = width === this.width && height === this.height;
    Object.assign(this, { width, height });
    Object.assign($("frame").style, { width: `${width}px`, height: `${height}px` });
    $("stage").style.setProperty("--ratio", String(width / height));
    if (same) this.#place(); else this.fit();
  }

  /**
   * Zooms so that what is at a point of the stage stays there, or moves there from another point.
   * @param {number} by
   * @param {Point} [at]
   * @param {Point} [from]
   */
  zoom(by, at = { x: this.#stage.width / 2, y: this.#stage.height / 2 }, from = at) {
    const least = Math.min(this.fitting, 1), to = clamp(this.scale * by, least, Math.max(NEAREST, least));
    this.left = at.x - (from.x - this.left) * to / this.scale;
    this.top = at.y - (from.y - this.top) * to / this.scale;
    this.scale = to;
    this.#fitted = to <= this.fitting * 1.001;
    this.#place();
  }

  /** @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.#place();
  }

  #place() {
    const { width, height } = this.#stage;
    /** Centres the photo if it is smaller than the stage; otherwise avoids gaps. @type {(at: number, length: number, room: number) => number} */
    const along = (at, length, room) => length <= room ? (room - length) / 2 : clamp(at, room - length, 0);
    this.left = along(this.left, this.width * this.scale, width);
    this.top = along(this.top, this.height * this.scale, height);
    $("frame").style.transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`;
    $("frame").classList.toggle("near", this.scale >= 4);
    this.#changed();
  }

  /** Maps a photo pixel to the stage. @param {Point} at @returns {Point} */
  toStage(at) {
    return { x: this.left + at.x * this.scale, y: this.top + at.y * this.scale };
  }

  /** Maps a point of the window to the photo, clamped to it. @param {{ clientX: number, clientY: number }} at @returns {Point} */
  toPhoto(at) {
    const { x, y } = this.onStage(at);
    return { x: clamp((x - this.left) / this.scale, 0, this.width), y: clamp((y - this.top) / this.scale, 0, this.height) };
  }

  /** @param {{ clientX: number, clientY: number }} at @returns {Point} */
  onStage(at) {
    const area = $("view").getBoundingClientRect();
    return { x: at.clientX - area.left, y: at.clientY - area.top };
  }

  /** Pans to bring a pixel into view. @param {Point} at */
  reveal(at) {
    const { x, y } = this.toStage(at), { width, height } = this.#stage, edge = 24;
    this.move(clamp(x, edge, width - edge) - x, clamp(y, edge, height - edge) - y);
  }
}
