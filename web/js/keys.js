/** Keyboard shortcuts that work everywhere on the page. */

import { $, input } from "./dom.js";

/**
 * @typedef {{
 *   use: (tool: string) => void, resize: (by: number) => void, compare: () => void, hold: (on: boolean) => void, next: () => void,
 *   back: (which: "undo" | "redo") => void, erase: () => void, zoom: (by: number) => void, download: () => void, escape: () => void,
 * }} Actions
 */

/** @param {Actions} act */
export function bindKeys(act) {
  const dialog = /** @type {HTMLDialogElement} */ ($("keys")), letters = input("letters");
  /** @type {Record<string, () => void>} */
  const plain = {
    b: () => act.use("brush"), l: () => act.use("lasso"), x: () => act.use("box"), p: () => act.use("pick"), s: () => act.use("subject"),
    "[": () => act.resize(1 / 1.15), "]": () => act.resize(1.15), e: act.erase, c: act.compare, o: () => act.hold(true), n: act.next,
    d: act.download, "+": () => act.zoom(1.25), "=": () => act.zoom(1.25), "-": () => act.zoom(0.8), 0: () => act.zoom(0),
    "?": () => dialog.showModal(),
  };
  $("keys-open").addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  letters.checked = localStorage.getItem("letters") !== "off";
  letters.addEventListener("change", () => localStorage.setItem("letters", letters.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input:is([type=password], [type=number]), select");
    if (dialog.open) return;
    const key = event.key.toLowerCase(), command = event.ctrlKey || event.metaKey;
    if (command && key === "enter") {
      event.preventDefault();
      return act.erase();
    }
    if (event.key === "Escape") return act.escape();
    if (typing) return;
    const undo = command && !event.altKey && (key === "z" || key === "y");
    if (undo) {
      event.preventDefault(); // Otherwise the browser undoes typing in some other field.
      return act.back(key === "y" || event.shiftKey ? "redo" : "undo");
    }
    if (command || event.altKey || !letters.checked) return;
    const range = event.target instanceof Element && event.target.matches("input[type=range]");
    if (Object.hasOwn(plain, key) && !(range && /[-+=0]/.test(key))) {
      event.preventDefault();
      plain[key]();
    }
  });
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "o") act.hold(false); });
}
