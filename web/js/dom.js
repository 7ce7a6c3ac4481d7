/** Typed lookup of elements by id. */

/** @param {string} id */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
export const input = (id) => /** @type {HTMLInputElement} */ ($(id));
/** @param {string} id */
export const button = (id) => /** @type {HTMLButtonElement} */ ($(id));
/** @param {string} id */
export const image = (id) => /** @type {HTMLImageElement} */ ($(id));
/** @param {string} id */
export const canvas = (id) => /** @type {HTMLCanvasElement} */ ($(id));
/** @param {string} selector @returns {HTMLElement[]} */
export const all = (selector) => [...document.querySelectorAll(selector)].map((found) => /** @type {HTMLElement} */ (found));

/**
 * @param {string} tag
 * @param {(string | Node)[]} inside
 */
export function node(tag, ...inside) {
  const made = document.createElement(tag);
  made.append(...inside);
  return made;
}

/** @param {HTMLCanvasElement} on */
export const pen = (on) => /** @type {CanvasRenderingContext2D} */ (on.getContext("2d"));

/** @param {number} value @param {number} least @param {number} most */
export const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** @param {number} bytes */
export const size = (bytes) => bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;
