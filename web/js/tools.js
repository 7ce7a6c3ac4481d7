/** The marking tools: what each does on press, move and release. */

import { canvas, clamp, pen } from "./dom.js";
import { draw, redraw } from "./marks.js";

/** @typedef {import("./marks.js").Point} Point */
/** @typedef {import("./marks.js").Box} Box */
/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./marks.js").Marks} Marks */
/**
 * What a tool works on. `reach` is the hit tolerance in pixels of the photo.
 * @typedef {{ marks: Marks, away: boolean, size: number, width: number, height: number, reach: number }} Ground
 */
/**
 * A tool in use. `outline` is what to draw meanwhile; `up` returns whether anything was marked.
 * @typedef {{ move: (at: Point) => void, up: () => boolean, cancel: () => void, outline?: () => Point[] }} Held
 */

const ink = () => pen(canvas("mask"));

/** @type {(at: Point, ground: Ground) => Held} */
function brush(at, { marks, away, size }) {
  /** @type {Mark} */
  const mark = { kind: "stroke", away, size, points: [at] };
  marks.add(mark);
  draw(ink(), mark);
  return {
    move(at) {
      mark.points.push(at);
      draw(ink(), mark, mark.points.length - 1);
    },
    up: () => true,
    cancel() {
      marks.drop();
      redraw(canvas("mask"), marks);
    },
  };
}

/** @type {(at: Point, ground: Ground) => Held} */
function lasso(at, { marks, away, reach }) {
  const points = [at];
  return {
    move(at) {
      const last = points[points.length - 1];
      if (Math.hypot(at.x - last.x, at.y - last.y) * 8 > reach) points.push(at);
    },
    up() {
      if (points.length < 3) return false;
      /** @type {Mark} */
      const mark = { kind: "shape", away, points };
      marks.add(mark);
      draw(ink(), mark);
      return true;
    },
    cancel() {},
    outline: () => points,
  };
}

/** A box of whole pixels between two corners; null if empty. @param {Point} a @param {Point} b @returns {Box | null} */
export function between(a, b) {
  const [left, right] = [a.x, b.x].map(Math.round).sort((m, n) => m - n);
  const [top, bottom] = [a.y, b.y].map(Math.round).sort((m, n) => m - n);
  return right > left && bottom > top ? { x: left, y: top, w: right - left, h: bottom - top } : null;
}

/** The corners of a box in drawing order. @param {Box} box @returns {Point[]} */
export const corners = ({ x, y, w, h }) => [{ x, y }, { x: x + w, y }, { x: x + w, y: y + h }, { x, y: y + h }];

/** Draws a new box, or resizes or moves the last one. @type {(at: Point, ground: Ground) => Held} */
function box(at, { marks, away, width, height, reach }) {
  const last = marks.present.at(-1);
  if (last?.kind === "box" && last.away === away) {
    const was = last.box, { x, y, w, h } = was;
    /** @param {Box | null} to */
    const set = (to) => {
      last.box = to ?? last.box;
      redraw(canvas("mask"), marks);
    };
    const rest = { up: () => true, cancel: () => set(was), outline: () => corners(last.box) };
    const taken = corners(was).find((corner) => Math.hypot(at.x - corner.x, at.y - corner.y) < reach);
    // The opposite corner stays in place.
    if (taken) return { ...rest, move: (at) => set(between({ x: 2 * x + w - taken.x, y: 2 * y + h - taken.y }, at)) };
    /** @type {(start: number, by: number, length: number, limit: number) => number} */
    const along = (start, by, length, limit) => clamp(Math.round(start + by), 0, limit - length);
    if (at.x >= x && at.x < x + w && at.y >= y && at.y < y + h) {
      return { ...rest, move: (to) => set({ w, h, x: along(x, to.x - at.x, w, width), y: along(y, to.y - at.y, h, height) }) };
    }
  }
  /** @type {Box | null} */
  let drawn = null;
  return {
    move(to) { drawn = between(at, to); },
    up() {
      if (!drawn) return false;
      /** @type {Mark} */
      const mark = { kind: "box", away, box: drawn };
      marks.add(mark);
      draw(ink(), mark);
      return true;
    },
    cancel() {},
    outline: () => drawn ? corners(drawn) : [],
  };
}

/** @type {Record<string, (at: Point, ground: Ground) => Held>} */
export const TOOLS = { brush, lasso, box };
