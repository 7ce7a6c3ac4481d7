/** What the page knows, in one place. */

/** @typedef {import("./steps.js").Work} Work */

export const state = {
  /** The photos that were opened. @type {Work[]} */
  works: [],
  /** The one that is shown. @type {Work | null} */
  work: null,
  tool: "brush",
  comparing: false,
  /** Whether the original is shown while a key or a button is held. */
  holding: false,
  away: false,
  /** Percent of the width at which a comparison is split. */
  split: 50,
  /** What is sent at the moment. @type {{ control: AbortController, what: "erase" | "find", words: string, part: number | null } | null} */
  running: null,
};
