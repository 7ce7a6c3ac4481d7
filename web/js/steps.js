/** The editing history of a photo. */

import { Marks } from "./marks.js";

/** @typedef {import("./photo.js").Photo} Photo */
/**
 * One step: a picture, its marks, and its origin, with the command and, if known, the mask that made it.
 * @typedef {{
 *   photo: Photo, marks: Marks, from: Step | null, mask: Blob | null, command: string | null, name: string, told: [string, string][],
 * }} Step
 */

/**
 * A photo with its history, a tree: steps are only ever added, each to the one it was made from, so going back and erasing something
 * else loses nothing.
 */
export class Work {
  /** @type {Step[]} */
  steps;
  /** @type {Step} */
  now;

  /** @param {Photo} photo */
  constructor(photo) {
    this.now = { photo, marks: new Marks(), from: null, mask: null, command: null, name: "Original", told: [] };
    this.steps = [this.now];
  }

  get original() { return this.steps[0]; }

  /**
   * Adds a step to the current one and makes it current.
   * @param {Photo} photo
   * @param {{ mask: Blob | null, command: string, told: [string, string][] }} how
   */
  add(photo, how) {
    this.now = { photo, marks: new Marks(), from: this.now, ...how, name: `Step ${this.steps.length}` };
    this.steps.push(this.now);
  }

  /** The latest step made from the current one. */
  get #next() { return this.steps.findLast((step) => step.from === this.now); }

  get canUndo() { return this.now.marks.canUndo || this.now.from !== null; }
  get canRedo() { return this.now.marks.canRedo || this.#next !== undefined; }

  /** Undoes a mark, or an erasure if there is none; returns which. */
  undo() {
    if (this.now.marks.canUndo) {
      this.now.marks.undo();
      return "A mark was taken back.";
    }
    if (this.now.from) this.now = this.now.from;
    return "An erasure was taken back.";
  }

  redo() {
    if (this.now.marks.canRedo) {
      this.now.marks.redo();
      return "A mark is back.";
    }
    this.now = this.#next ?? this.now;
    return "An erasure is back.";
  }
}
