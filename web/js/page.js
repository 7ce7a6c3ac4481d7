/** The page: choose a photo, mark what should go, see it gone. */

import { $, all, button, canvas, clamp, image, input, pen } from "./dom.js";
import { takeIn } from "./intake.js";
import { bindKeys } from "./keys.js";
import { draw, markOf, maskFile, redraw } from "./marks.js";
import { MAX_BYTES, Refusal, pngOf, show as showPhoto } from "./photo.js";
import { Refused, asCurl, send } from "./service.js";
import { formatFor, say, show, strips, tellWrong } from "./show.js";
import { state } from "./state.js";
import { Work } from "./steps.js";
import { Surface } from "./surface.js";
import { between } from "./tools.js";
import { View } from "./view.js";

/** @typedef {import("./marks.js").Point} Point */
/** @typedef {import("./photo.js").Photo} Photo */
/** @typedef {import("./steps.js").Step} Step */

const view = new View(() => refresh());
const surface = new Surface(view, {
  tool: () => state.comparing ? "compare" : state.tool,
  ground(away, reach) {
    const step = state.work?.now;
    if (!step?.photo.width || (state.running && state.running.what === "erase")) return null;
    const { width, height } = step.photo;
    return { marks: step.marks, away: away !== state.away, size: Number(input("size").value), width, height, reach };
  },
  marked,
  pick,
  split(at) { state.split = at.x / view.width * 100; refresh(); },
  resize,
});

/** Updates the page after a change. */
function refresh() {
  show(view);
  surface.draw();
}

/** Updates the page after switching to another step or photo. */
function arrive() {
  const step = state.work?.now;
  if (step?.photo.width) {
    const { width, height } = step.photo, mask = canvas("mask");
    if (mask.width !== width || mask.height !== height) Object.assign(mask, { width, height });
    redraw(mask, step.marks);
    show(view);
    view.shape(width, height);
  }
  numbers();
  strips(jump, change);
  refresh();
}

/** @param {unknown} error */
export function fail(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (error instanceof Refused && error.status === 401) {
    $("access").toggleAttribute("open", true);
    input("token").focus();
  }
  tellWrong(error instanceof Refusal ? error.message : `Something went wrong here: ${error}`, error instanceof Refused ? error.id : null);
}

// ---- Photos and steps -----------------------------------------------------------------------------

/** @param {Photo[]} photos */
export function opened(photos) {
  stop();
  const works = photos.map((photo) => new Work(photo));
  state.works.push(...works);
  if (works[0]) turnTo(works[0]);
}

/** @param {Work} work */
function turnTo(work) {
  state.work = work;
  state.comparing = false;
  $("wrong").hidden = true;
  const { width, height } = work.now.photo;
  if (width) {
    const side = Math.max(width, height);
    input("size").max = String(Math.max(16, Math.round(side / 4)));
    input("size").value = String(Math.max(4, Math.round(side / 16)));
  } else {
    state.tool = "subject";
    if (input("token").value) preview().catch(fail);
  }
  arrive();
}

/** @param {number} index */
function change(index) {
  stop();
  turnTo(state.works[index]);
  say(`Photo ${index + 1} of ${state.works.length}.`);
}

function next() {
  if (state.work && state.works.length > 1) change((state.works.indexOf(state.work) + 1) % state.works.length);
}

/** @param {Step} step */
function jump(step) {
  if (!state.work || state.running) return;
  state.work.now = step;
  arrive();
  say(`${step.name}.`);
}

/** @param {"undo" | "redo"} which */
function back(which) {
  const { work } = state;
  if (!work || state.running || surface.busy || !(which === "undo" ? work.canUndo : work.canRedo)) return;
  say(work[which]());
  arrive();
}

/** A displayable version of a photo that the browser cannot show: the service erases a single pixel of it. */
async function preview() {
  const { work } = state, photo = work?.original.photo;
  if (!work || !photo || photo.width) return;
  const form = new FormData();
  form.append("file", photo.file, photo.name);
  for (const [name, value] of Object.entries({ x: 0, y: 0, w: 1, h: 1, dilation: 0, format: "jpg" })) form.append(name, String(value));
  const answer = await request("find", "inpaint", form);
  const seen = await showPhoto(answer.file, "JPEG");
  Object.assign(photo, seen);
  if (state.work === work) turnTo(work);
}

// ---- Marking --------------------------------------------------------------------------------------

/** Called after a mark was made. */
function marked() {
  $("wrong").hidden = true;
  numbers();
  refresh();
  say("Marked.");
  if (input("release").checked && !state.work?.now.marks.empty) erase().catch(fail);
}

/** Shows the coordinates of the last box. */
function numbers() {
  const last = state.work?.now.marks.present.at(-1), box = last?.kind === "box" ? last.box : null;
  for (const key of /** @type {const} */ (["x", "y", "w", "h"])) input(key).value = String(box?.[key] ?? "");
}

/** Makes a box from the coordinates once all four are entered. */
function numbered() {
  const work = state.work, photo = work?.now.photo;
  const [x, y, w, h] = ["x", "y", "w", "h"].map((key) => Math.round(input(key).valueAsNumber));
  if (!work || !photo || !(x >= 0 && y >= 0 && w > 0 && h > 0 && x < photo.width && y < photo.height)) return;
  const box = between({ x, y }, { x: Math.min(x + w, photo.width), y: Math.min(y + h, photo.height) }), last = work.now.marks.present.at(-1);
  if (!box) return;
  if (last?.kind === "box" && last.away === state.away) last.box = box;
  else work.now.marks.add({ kind: "box", away: state.away, box });
  redraw(canvas("mask"), work.now.marks);
  refresh();
}

/** @param {number} by */
function resize(by) {
  const size = input("size"), now = Number(size.value);
  size.value = String(by > 1 ? Math.max(now + 1, Math.round(now * by)) : Math.min(now - 1, Math.round(now * by)));
  refresh();
}

function clear() {
  const work = state.work;
  if (!work?.now.marks.present.length || state.running) return;
  work.now.marks.add({ kind: "clear", away: false });
  arrive();
  say("Nothing is marked.");
}

/** @param {Blob} file */
export async function useMask(file) {
  const step = state.work?.now;
  if (!step?.photo.width) throw new Refusal("Open the photo first, and then its mask.");
  const mark = await markOf(file, step.photo.width, step.photo.height, state.away);
  step.marks.add(mark);
  arrive();
  marked();
}

/** Serialises picks, as each is a request. */
let picks = Promise.resolve();

/** @param {Point} point @param {boolean} away */
function pick(point, away) {
  const work = state.work, step = work?.now;
  if (!step) return;
  const at = { x: clamp(Math.floor(point.x), 0, step.photo.width - 1), y: clamp(Math.floor(point.y), 0, step.photo.height - 1) };
  surface.looking.add(at);
  surface.draw();
  picks = picks.then(async () => {
    if (state.work?.now === step) await find(step, { x: at.x, y: at.y }, away);
  }).catch(fail).finally(() => {
    surface.looking.delete(at);
    refresh();
  });
}

/**
 * Marks what the service finds in the current picture: the object at a point, or the subject.
 * @param {Step} step
 * @param {Record<string, number>} where
 * @param {boolean} away
 */
async function find(step, where, away) {
  const form = new FormData(), { photo } = base(step).step;
  form.append("file", photo.file, photo.name);
  for (const [name, value] of Object.entries(where)) form.append(name, String(value));
  const answer = await request("find", "mask", form);
  const mark = await markOf(answer.file, step.photo.width, step.photo.height, away);
  if (state.work?.now !== step) return;
  step.marks.add(mark);
  draw(pen(canvas("mask")), mark);
  marked();
}

/** @param {string} tool */
function use(tool) {
  surface.cancel();
  Object.assign(state, { tool, comparing: false });
  refresh();
}

/** Handles Subject: shows the subject's mask for editing. */
async function subject() {
  const step = state.work?.now;
  if (step?.photo.width && !state.running && lacksToken() === null) await find(step, {}, false);
}

// ---- Requests -------------------------------------------------------------------------------------

/** Cancels the request in flight. */
function stop() {
  state.running?.control.abort();
}

/**
 * Sends a form and shows its progress.
 * @param {"erase" | "find"} what
 * @param {string} path
 * @param {FormData} form
 */
async function request(what, path, form) {
  const missing = lacksToken();
  if (missing) throw missing;
  stop();
  $("wrong").hidden = true;
  const control = new AbortController(), started = performance.now();
  const running = state.running = { control, what, words: "", part: /** @type {number | null} */ (0) };
  let phase = "sending";
  const tick = () => {
    const seconds = `${((performance.now() - started) / 1000).toFixed(1)} s`;
    running.words = phase === "sending" && running.part !== null && running.part < 1 ? `sending, ${Math.round(running.part * 100)} %` : seconds;
    if (state.running === running) show(view);
  };
  const ticking = setInterval(tick, 100);
  tick();
  say(what === "erase" ? "Erasing." : "Looking.");
  try {
    const token = input("token").value.trim();
    return await send(path, form, { token, signal: control.signal, progress: (now) => { phase = now.phase; running.part = now.part; tick(); } });
  } finally {
    clearInterval(ticking);
    if (state.running === running) state.running = null;
    refresh();
  }
}

/** @returns {Refusal | null} */
function lacksToken() {
  if (input("token").value.trim()) return null;
  $("access").toggleAttribute("open", true);
  input("token").focus();
  return new Refusal("Give the access token of this service.");
}

/**
 * The step whose file to send for the current one, and the masks of everything erased since. That is the current step, unless its file
 * exceeds the service's limit: then the last one that does not, and what was erased since is erased again.
 * @param {Step} step
 */
function base(step) {
  const masks = [];
  while (step.photo.file.size > MAX_BYTES && step.from && step.mask) {
    masks.push(step.mask);
    step = step.from;
  }
  return { step, masks };
}

/**
 * The request that erases the selection, and the mask of what it erases.
 * @param {Step} step
 */
async function eraseForm(step) {
  const form = new FormData(), { step: from, masks } = base(step), { photo } = from;
  const box = masks.length ? null : step.marks.onlyBox;
  const mask = step.marks.empty ? null : await maskFile(canvas("mask"), masks);
  form.append("file", photo.file, photo.name);
  if (box) for (const key of /** @type {const} */ (["x", "y", "w", "h"])) form.append(key, String(box[key]));
  else if (mask) form.append("mask", new File([mask], `${stem(photo.name)}-mask.png`, { type: "image/png" }));
  form.append("dilation", input("dilation").value);
  form.append("format", formatFor(photo.kind));
  return { form, mask };
}

/** @param {string} name */
const stem = (name) => name.replace(/(-lacuna)?\.[^.]*$/, "");

async function erase() {
  const work = state.work, step = work?.now;
  if (!work || !step) {
    input("file").focus();
    throw new Refusal("Choose a photo first.");
  }
  if (step.marks.empty && state.tool !== "subject") {
    $("surface").focus();
    throw new Refusal("Mark what is to go first.");
  }
  const { form, mask } = await eraseForm(step);
  const answer = await request("erase", "inpaint", form);
  const kind = { "image/jpeg": "JPEG", "image/webp": "WebP" }[answer.file.type] ?? "PNG";
  const name = `${stem(work.original.photo.name)}-lacuna.${{ JPEG: "jpg", WebP: "webp" }[kind] ?? "png"}`;
  const seen = await showPhoto(answer.file, kind);
  const rows = [
    ["Warning", answer.header("x-knockout-warning")], ["Mode", answer.header("x-knockout-mode")], ["Model", answer.header("x-knockout-model")],
    ["Time", `${answer.header("x-knockout-latency")} ms`], ["Request id", answer.header("x-request-id")],
  ];
  const told = rows.flatMap(([row, text]) => text ? [/** @type {[string, string]} */ ([row, text])] : []);
  if (!state.works.includes(work)) return;
  work.now = step;
  work.add({ file: answer.file, name, kind, ...seen }, { mask, command: asCurl("inpaint", form), told });
  if (state.work === work) arrive();
  say(`Erased, in ${answer.header("x-knockout-latency")} milliseconds.`);
}

// ---- Saving and copying ---------------------------------------------------------------------------

/** @param {string} words */
function flash(words) {
  say(words);
  $("facts").textContent = words;
}

async function copy() {
  const photo = state.work?.now.photo;
  if (!photo) return;
  if (!navigator.clipboard?.write) throw new Refusal("This browser copies pictures only from pages over HTTPS or of this machine.");
  const bitmap = await createImageBitmap(await (await fetch(photo.url)).blob());
  const picture = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  pen(picture).drawImage(bitmap, 0, 0);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(picture) })]);
  flash("The picture was copied.");
}

async function curl() {
  const step = state.work?.now;
  if (!step) return;
  // For a result, the command that made it; for a selection, the one that would erase it.
  const command = step.marks.empty && step.command ? step.command : asCurl("inpaint", (await eraseForm(step)).form);
  await navigator.clipboard.writeText(command);
  flash(`The command was copied.${command.includes("-F mask=") ? " It reads the mask that “Save the mask” saves." : ""}`);
}

async function saveMask() {
  const step = state.work?.now;
  if (!step) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(step.marks.empty && step.mask ? step.mask : await maskFile(canvas("mask")));
  link.download = `${stem(step.photo.name)}-mask.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {boolean} on */
function hold(on) {
  if (on === state.holding || button("hold").disabled) return;
  state.holding = on;
  refresh();
}

function compare() {
  if (button("compare").disabled) return;
  surface.cancel();
  state.comparing = !state.comparing;
  refresh();
  if (state.comparing) input("split").focus({ preventScroll: true });
}

// ---- The controls ---------------------------------------------------------------------------------

/** @param {string} id @param {() => unknown} act */
function on(id, act) {
  $(id).addEventListener("click", () => Promise.resolve(act()).catch(fail));
}

function go() {
  if (!state.running) return erase();
  stop();
  say("Cancelled.");
  return refresh();
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  Promise.resolve(go()).catch(fail);
});
$("form").addEventListener("input", (event) => {
  if (event.target instanceof Element && event.target.closest("#numbers")) numbered();
  refresh();
});
for (const one of all("#tools button")) {
  one.addEventListener("click", (event) => {
    use(one.dataset.tool ?? "brush");
    // So that Space then moves the photo instead of pressing the button again.
    if (event.detail && !$("view").hidden) $("surface").focus({ preventScroll: true });
    if (one.dataset.tool === "subject") subject().catch(fail);
  });
}
$("tools").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key], tools = all("#tools button:not(:disabled)");
  if (!by || !(event.target instanceof HTMLElement)) return;
  tools[(tools.indexOf(event.target) + by + tools.length) % tools.length]?.focus();
  event.preventDefault();
});
on("undo", () => back("undo"));
on("redo", () => back("redo"));
on("clear", clear);
on("marks-add", () => { state.away = false; refresh(); });
on("marks-away", () => { state.away = true; refresh(); });
on("compare", compare);
on("in", () => view.zoom(1.5));
on("out", () => view.zoom(1 / 1.5));
on("fit", () => view.fit());
on("copy", copy);
on("curl", curl);
on("mask-save", saveMask);
on("preview", preview);
on("next", next);
$("split").addEventListener("input", () => { state.split = Number(input("split").value); refresh(); });
$("hold").addEventListener("pointerdown", (event) => { if (event.button === 0) hold(true); });
for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) $("hold").addEventListener(end, () => hold(false));
$("hold").addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") hold(true); });
$("hold").addEventListener("keyup", () => hold(false));
image("shown").addEventListener("load", refresh);
takeIn({ opened, useMask, fail });
bindKeys({
  use: (tool) => { if (state.work?.now.photo.width) { use(tool); if (tool === "subject") subject().catch(fail); } },
  resize, compare, hold, next, back,
  erase: () => Promise.resolve(go()).catch(fail),
  zoom: (by) => by ? view.zoom(by) : view.fit(),
  download: () => $("save").hidden || $("save").click(),
  escape() {
    if (surface.busy) surface.cancel(); else if (state.running) go();
  },
});
refresh();
