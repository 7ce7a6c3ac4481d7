/** Renders the state. */

import { $, all, button, canvas, image, input, node, size } from "./dom.js";
import { state } from "./state.js";

/** @typedef {import("./steps.js").Step} Step */
/** @typedef {import("./view.js").View} View */

/** @type {Record<string, string>} */
const HINTS = {
  brush: "Paint over what is to go, a little generously.",
  lasso: "Draw around what is to go.",
  box: "Drag a box around what is to go, or give its pixels.",
  pick: "Click an object, and it is marked. More clicks add more.",
  subject: "The service finds the main subject. Mend it with the brush, or erase it as it is.",
};

/** @type {Record<string, string>} */
const EXACT = {
  png: "Exact outside of the region.",
  webp: "Exact outside of the region, and smaller than PNG.",
  jpg: "Smallest, but not exact.",
  patch: "Exact but for the blocks that the region touches.",
};

/** The format to request for a photo's result. @param {string} kind */
export function formatFor(kind) {
  const chosen = input("format").value;
  return chosen !== "own" ? chosen : { JPEG: "jpg", WebP: "webp" }[kind] ?? "png";
}

/** @param {View} view */
export function show(view) {
  const { work, tool, running } = state, step = work?.now, photo = step?.photo, seen = !!photo?.width;
  const original = work?.original.photo, changed = !!step?.from, comparable = changed && !!original?.width && seen;
  if (!comparable) state.comparing = state.holding = false;
  $("start").hidden = !!work;
  input("file").disabled = false;
  input("file").tabIndex = work ? -1 : 0;
  $("view").hidden = !seen;
  $("blind").hidden = !work || seen;
  if (photo && !seen) {
    $("blind").querySelector("p")?.replaceChildren(`This browser cannot show ${photo.kind === "HEIC" ? "HEIC photos" : "this photo"}. The service can `
      + "show it, so that it can be marked; or erase its subject right away.");
  }
  if (photo && original && seen) {
    source("shown", photo.url, state.holding ? "" : changed ? "The result" : "The photo");
    source("original", comparable ? original.url : "", "The photo before");
  }
  $("original").hidden = !(state.comparing || state.holding);
  $("original").style.clipPath = state.comparing && !state.holding ? `inset(0 ${100 - state.split}% 0 0)` : "";
  canvas("mask").style.visibility = state.comparing || state.holding ? "hidden" : "";
  for (const id of ["bar", "split", "tag-left", "tag-right"]) $(id).hidden = !state.comparing || state.holding;
  $("bar").style.left = `${view.toStage({ x: state.split / 100 * view.width, y: 0 }).x}px`;
  input("split").value = String(state.split);

  const surface = $("surface"), keys = { brush: "Enter puts the brush down and lifts it.", lasso: "Enter sets a corner; at the first corner it closes.",
    box: "Enter sets the corners.", pick: "Enter picks what is there." }[tool];
  surface.dataset.tool = state.comparing ? "compare" : tool;
  surface.role = keys && !state.comparing ? "application" : "group";
  surface.ariaLabel = keys && !state.comparing ? `Marking with the ${tool}. Arrow keys move the pointer, with Shift by one pixel. ${keys}` : "Photo";
  surface.tabIndex = keys && !state.comparing ? 0 : -1;
  for (const one of all("#tools button")) {
    one.ariaPressed = String(one.dataset.tool === tool);
    one.tabIndex = one.dataset.tool === tool ? 0 : -1;
    if (work && !seen && one.dataset.tool !== "subject") one.setAttribute("disabled", ""); else one.removeAttribute("disabled");
  }
  for (const part of all("[data-for]")) part.hidden = !part.dataset.for?.split(" ").includes(tool) || (!!work && !seen);
  $("hint").textContent = HINTS[tool];
  $("diameter").textContent = `${input("size").value} px`;
  $("grown").textContent = `${input("dilation").value} px`;
  const format = photo ? formatFor(photo.kind) : input("format").value;
  $("exact").textContent = EXACT[format === "jpg" && photo?.kind === "JPEG" ? "patch" : format] ?? "A JPEG stays one, and so on; a HEIC becomes a PNG.";
  button("marks-add").ariaPressed = String(!state.away);
  button("marks-away").ariaPressed = String(state.away);
  button("clear").disabled = !step?.marks.present.length || !!running;
  button("mask-open").disabled = !seen || !!running;
  button("mask-save").disabled = !seen || (!!step?.marks.empty && !step?.mask);

  $("bar-below").hidden = !work;
  button("undo").disabled = !work?.canUndo || !!running;
  button("redo").disabled = !work?.canRedo || !!running;
  button("compare").disabled = button("hold").disabled = !comparable;
  button("compare").ariaPressed = String(state.comparing);
  $("zoom").hidden = !seen;
  $("percent").textContent = `${Math.round(view.scale * 100)} %`;
  $("facts").textContent = photo ? [photo.name, seen && `${photo.width} × ${photo.height}`, photo.kind, size(photo.file.size)].filter(Boolean).join(", ") : "";
  $("facts").title = $("facts").textContent ?? "";
  $("result").hidden = !work;
  $("save").hidden = button("copy").hidden = !changed;
  if (changed && photo) {
    const save = /** @type {HTMLAnchorElement} */ ($("save"));
    save.href = photo.url;
    save.download = photo.name;
    save.textContent = `Download, ${size(photo.file.size)}`;
  }
  $("next").hidden = state.works.length < 2;
  $("told").hidden = !step?.told.length;
  $("told").replaceChildren(...(step?.told ?? []).map(([name, text]) => node("div", node("dt", name), node("dd", text))));

  $("go").textContent = running ? `Cancel (${running.words})` : step?.marks.empty && tool === "subject" ? "Erase the subject" : "Erase";
  const bar = /** @type {HTMLProgressElement} */ ($("progress"));
  bar.hidden = !running;
  if (typeof running?.part !== "number") bar.removeAttribute("value"); else bar.value = running.part;
}

/** @param {string} id @param {string} url @param {string} alt */
function source(id, url, alt) {
  const shown = image(id);
  if (url && shown.getAttribute("src") !== url) shown.src = url;
  if (!url) shown.removeAttribute("src");
  shown.alt = alt;
}

/** Renders the strips of photos and steps. @param {(step: Step) => void} jump @param {(index: number) => void} change */
export function strips(jump, change) {
  const { works, work } = state;
  $("photos").hidden = works.length < 2;
  $("photos").replaceChildren(...works.map((one, i) => {
    const thumb = item(one.now.photo, `Photo ${i + 1}`, one === work, () => change(i));
    thumb.firstElementChild?.classList.toggle("done", one.steps.length > 1);
    thumb.firstElementChild?.setAttribute("aria-label", `Photo ${i + 1}, ${one.original.photo.name}${one.steps.length > 1 ? ", erased from" : ""}`);
    return thumb;
  }));
  const steps = work?.steps ?? [];
  $("steps").hidden = !work;
  $("steps").replaceChildren(...steps.map((step) => {
    const branched = step.from && step.from !== steps[steps.indexOf(step) - 1];
    const one = item(step.photo, step.name, step === work?.now, () => jump(step));
    if (branched) one.firstElementChild?.setAttribute("aria-label", `${step.name}, from ${step.from?.name.toLowerCase()}`);
    return one;
  }));
  for (const id of ["photos", "steps"]) $(id).querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** @param {import("./photo.js").Photo} photo @param {string} words @param {boolean} current @param {() => void} act */
function item(photo, words, current, act) {
  const one = /** @type {HTMLButtonElement} */ (node("button"));
  one.type = "button";
  one.ariaCurrent = String(current);
  const thumb = photo.width ? Object.assign(new Image(), { src: photo.url, alt: "" }) : Object.assign(node("span", photo.kind), { className: "none" });
  one.append(thumb, words);
  one.addEventListener("click", act);
  return node("li", one);
}

/** Shows an error. @param {string} words @param {string | null} [id] */
export function tellWrong(words, id) {
  $("wrong").replaceChildren(node("p", words), ...(id ? [node("p", "Request id: ", node("code", id))] : []));
  $("wrong").hidden = false;
}

/** Announces it to screen readers. @param {string} words */
export function say(words) {
  $("said").textContent = words;
}
