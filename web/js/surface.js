/** Interaction with the photo by mouse, touch, pen and keyboard: marking, panning, zooming. */

import { $, canvas, clamp, image, pen } from "./dom.js";
import { TOOLS, corners } from "./tools.js";

/** @typedef {import("./marks.js").Point} Point */
/** @typedef {import("./tools.js").Held} Held */
/** @typedef {import("./tools.js").Ground} Ground */
/**
 * What the surface needs from the page.
 * @typedef {{
 *   tool: () => string, ground: (away: boolean, reach: number) => Ground | null,
 *   marked: () => void, pick: (at: Point, away: boolean) => void, split: (at: Point) => void, resize: (by: number) => void,
 * }} Page
 */

export class Surface {
  #view;
  #page;
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();
  /** @type {{ held: Held, pointer: number | null } | null} */
  #drag = null;
  /** @type {number | null} */
  #panning = null;
  #space = false;
  /** Position of the pointer or keyboard cursor, in the photo. @type {Point | null} */
  #cursor = null;
  #byKeys = false;
  /** Points of picks in flight. @type {Set<Point>} */
  looking = new Set();

  /**
   * @param {import("./view.js").View} view
   * @param {Page} page
   */
  constructor(view, page) {
    this.#view = view;
    this.#page = page;
    const surface = $("surface");
    surface.addEventListener("pointerdown", (event) => this.#down(event));
    surface.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) surface.addEventListener(end, (event) => this.#up(event));
    surface.addEventListener("pointerleave", () => this.#leave());
    surface.addEventListener("keydown", (event) => this.#key(event));
    surface.addEventListener("blur", () => { if (this.#byKeys) this.cancel(); this.#leave(); });
    surface.addEventListener("contextmenu", (event) => { if (this.#drag) event.preventDefault(); });
    $("view").addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    document.addEventListener("keydown", (event) => { if (event.key === " ") this.#spaced(event, true); });
    document.addEventListener("keyup", (event) => { if (event.key === " ") this.#spaced(event, false); });
  }

  /** Whether a tool is down. */
  get busy() { return this.#drag !== null; }

  /** Cancels the gesture in progress. */
  cancel() {
    this.#drag?.held.cancel();
    this.#drag = null;
    this.draw();
  }

  /** @param {KeyboardEvent} event @param {boolean} down */
  #spaced(event, down) {
    const elsewhere = event.target instanceof Element && event.target.closest("button, input, select, summary, a, dialog");
    if (down && elsewhere) return;
    if (down) event.preventDefault();
    this.#space = down;
    $("surface").classList.toggle("pans", down);
  }

  // ---- Pointers -----------------------------------------------------------------------------------

  /** @param {PointerEvent} event */
  #down(event) {
    const surface = $("surface");
    surface.focus({ preventScroll: true });
    surface.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    this.#byKeys = false;
    const tool = this.#page.tool();
    if (this.#pointers.size > 1) {
      // Two fingers pan the photo; what the first one started was not intended.
      this.cancel();
      this.#panning = null;
    } else if (this.#space || event.button === 1 || tool === "subject") {
      this.#panning = event.pointerId;
    } else if (event.button === 0 || event.button === 5) {
      this.#press(this.#view.toPhoto(event), this.#away(event), event);
    }
  }

  /** Whether to subtract: with Alt, or a pen's eraser end. @param {PointerEvent | KeyboardEvent} event */
  #away(event) {
    return event.altKey || ("buttons" in event && (event.buttons & 32) > 0);
  }

  /**
   * @param {Point} at
   * @param {boolean} away
   * @param {PointerEvent} [event]
   */
  #press(at, away, event) {
    const tool = this.#page.tool(), reach = (event?.pointerType === "touch" ? 24 : 10) / this.#view.scale;
    const ground = this.#page.ground(away, reach), pointer = event?.pointerId ?? null;
    if (tool === "compare") {
      this.#page.split(at);
      this.#drag = { held: { move: (at) => this.#page.split(at), up: () => false, cancel() {} }, pointer };
    } else if (ground && tool === "pick") {
      const up = () => (this.#page.pick(this.#cursor ?? at, ground.away), false);
      this.#drag = { held: { move() {}, up, cancel() {} }, pointer };
    } else if (ground && TOOLS[tool]) {
      this.#drag = { held: TOOLS[tool](at, ground), pointer };
    }
    this.#cursor = at;
    this.draw();
    if (event) this.#magnify(event);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before) this.#pointers.set(event.pointerId, event);
    if (before && this.#pointers.size === 2) return this.#pinch(before, event);
    if (before && this.#panning === event.pointerId) {
      return this.#view.move(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.#byKeys = false;
    this.#cursor = this.#view.toPhoto(event);
    if (this.#drag?.pointer === event.pointerId) {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) this.#drag.held.move(this.#view.toPhoto(step));
      this.#magnify(event);
    }
    this.draw();
  }

  /** @param {PointerEvent} before @param {PointerEvent} event */
  #pinch(before, event) {
    const other = [...this.#pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    if (!other) return;
    /** @param {PointerEvent} one */
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    /** @param {PointerEvent} one */
    const middle = (one) => this.#view.onStage({ clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 });
    this.#view.zoom(apart(event) / Math.max(1, apart(before)), middle(event), middle(before));
  }

  /** @param {PointerEvent} event */
  #up(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#panning === event.pointerId) this.#panning = null;
    canvas("loupe").hidden = true;
    if (this.#drag?.pointer !== event.pointerId) return;
    if (event.type === "pointercancel") this.cancel(); else this.#lift();
  }

  #lift() {
    const marked = this.#drag?.held.up();
    this.#drag = null;
    this.draw();
    if (marked) this.#page.marked();
  }

  #leave() {
    if (!this.#drag) this.#cursor = null;
    this.draw();
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1, by = event.deltaY * lines || event.deltaX * lines;
    if (event.altKey) this.#page.resize(by < 0 ? 1.1 : 1 / 1.1);
    else this.#view.zoom(Math.exp(-clamp(by, -120, 120) * (event.ctrlKey ? 0.01 : 0.002)), this.#view.onStage(event));
    this.draw();
  }

  // ---- Keys ---------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || !(by || event.key === "Enter")) return;
    event.preventDefault();
    if (typeof this.#drag?.pointer === "number") return;
    const { width, height, scale } = this.#view, at = this.#cursor ?? { x: width / 2, y: height / 2 };
    this.#byKeys = true;
    if (by) {
      const far = event.shiftKey ? 1 : Math.max(1, Math.round(12 / scale));
      this.#cursor = { x: clamp(Math.round(at.x + by[0] * far), 0, width), y: clamp(Math.round(at.y + by[1] * far), 0, height) };
      this.#view.reveal(this.#cursor);
      if (this.#page.tool() !== "lasso") this.#drag?.held.move(this.#cursor);
    } else if (!this.#drag) {
      this.#press(at, this.#away(event));
      if (this.#page.tool() === "pick") this.#lift();
    } else {
      // The lasso continues from corner to corner until it meets the first again.
      const first = this.#page.tool() === "lasso" ? this.#drag.held.outline?.()[0] : undefined;
      const closed = !first || Math.hypot(at.x - first.x, at.y - first.y) * scale < 16;
      if (closed) this.#lift(); else this.#drag.held.move(at);
    }
    this.draw();
  }

  // ---- What is drawn over the photo ---------------------------------------------------------------

  /** Draws the outline, the cursor and pending picks. */
  draw() {
    const tool = this.#page.tool(), ground = this.#page.ground(false, 1), last = ground?.marks.present.at(-1);
    const rests = tool === "box" && !this.#drag && last?.kind === "box" ? corners(last.box) : [];
    let outline = this.#drag?.held.outline?.() ?? rests;
    if (this.#byKeys && this.#cursor && tool === "lasso" && outline.length) outline = [...outline, this.#cursor];
    const points = outline.map((point) => this.#view.toStage(point));
    const path = points.length ? `M${points.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}${tool === "box" ? "Z" : ""}` : "";
    for (const id of ["shape", "shape-shadow"]) $(id).setAttribute("d", path);
    [...$("corners").children].forEach((circle, i) => {
      circle.toggleAttribute("hidden", tool !== "box" || !points[i]);
      place(circle, points[i]);
    });
    const at = this.#cursor && (tool === "brush" || this.#byKeys) ? this.#view.toStage(this.#cursor) : null;
    $("ring").toggleAttribute("hidden", !at || tool === "compare");
    $("ring").setAttribute("r", String(tool === "brush" && ground ? ground.size * this.#view.scale / 2 : 7));
    place($("ring"), at);
    const [looked] = this.looking;
    $("looking").toggleAttribute("hidden", !looked);
    place($("looking"), looked && this.#view.toStage(looked));
  }

  /** Magnifies what a finger or a pen covers. @param {PointerEvent} event */
  #magnify(event) {
    const loupe = canvas("loupe"), shown = image("shown"), at = this.#cursor;
    loupe.hidden = event.pointerType === "mouse" || !this.#drag || !at || this.#page.tool() === "compare";
    if (loupe.hidden || !at) return;
    const stage = this.#view.onStage(event);
    loupe.classList.toggle("right", stage.x < $("view").clientWidth / 2 && stage.y < 260);
    const glass = pen(loupe), side = loupe.width, part = 132 / (2 * this.#view.scale), half = part / 2;
    const ratio = shown.naturalWidth / this.#view.width;
    glass.globalAlpha = 1;
    glass.fillStyle = "#888";
    glass.fillRect(0, 0, side, side);
    glass.drawImage(shown, (at.x - half) * ratio, (at.y - half) * ratio, part * ratio, part * ratio, 0, 0, side, side);
    glass.globalAlpha = 0.55;
    glass.drawImage(canvas("mask"), at.x - half, at.y - half, part, part, 0, 0, side, side);
    glass.globalAlpha = 1;
    glass.strokeStyle = "#fff";
    glass.lineWidth = 3;
    glass.beginPath();
    glass.arc(side / 2, side / 2, 10, 0, 2 * Math.PI);
    glass.stroke();
  }
}

/** @param {Element} circle @param {Point | null | undefined} at */
function place(circle, at) {
  circle.setAttribute("cx", String(at?.x ?? 0));
  circle.setAttribute("cy", String(at?.y ?? 0));
}
