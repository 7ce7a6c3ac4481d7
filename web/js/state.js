/** The state of the page. */

/** @typedef {import("./steps.js").Work} Work */

export const state = {
  /** Open photos. @type {Work[]} */
  works: [],
  /** The one being shown. @type {Work | null} */
  work: null,
  tool: "brush",
  comparing: false,
  /** Whether the original is shown while a key or a button is held. */
  holding: false,
  away: false,
  /** Position of the comparison's divider, in percent of the width. */
  split: 50,
  /** The request in flight. @type {{ control: AbortController, what: "erase" | "find", words: string, part: number | null } | null} */
  running: null,
};
