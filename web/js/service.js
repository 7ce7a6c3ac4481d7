/** The page's client of the service. */

import { Refusal } from "./photo.js";

/** A refusal by the service, with the request ID for its log. */
export class Refused extends Refusal {
  /**
   * @param {string} words
   * @param {number} status
   * @param {string | null} id
   */
  constructor(words, status, id) {
    super(words);
    this.status = status;
    this.id = id;
  }
}

/** @type {Record<string, string>} */
const WORDS = {
  unauthorized: "The access token is not known to this service.",
  empty_mask: "Nothing is marked. Mark what is to go.",
  no_subject_detected: "Nothing was found there. Paint over what is to go, or draw around it.",
  inpaint_failed: "The region could not be filled. The service's log has the cause, under the request's id.",
  inference_unavailable: "The service cannot reach its models at the moment.",
  overloaded: "The service has too much to do at the moment.",
  rate_limit_exceeded: "Too many requests in a short time.",
};

/** @param {XMLHttpRequest} call */
async function refusal(call) {
  const told = await call.response.text().then(JSON.parse).catch(() => ({}));
  const wait = call.getResponseHeader("retry-after");
  const words = WORDS[told.error] ?? told.message ?? `The service answered with status ${call.status}.`;
  const again = wait ? ` Try again in ${wait === "1" ? "a second" : `${wait} seconds`}.` : "";
  return new Refused(words + again, call.status, told.request_id ?? call.getResponseHeader("x-request-id"));
}

/** @typedef {{ phase: "sending" | "working" | "receiving", part: number | null }} Progress */
/** @typedef {{ file: Blob, header: (name: string) => string | null }} Answer */

/**
 * Sends a form and receives the resulting picture. Uses XMLHttpRequest, since fetch does not report upload progress.
 * @param {string} path
 * @param {FormData} form
 * @param {{ token: string, signal: AbortSignal, progress: (progress: Progress) => void }} how
 * @returns {Promise<Answer>}
 */
export function send(path, form, { token, signal, progress }) {
  return new Promise((done, fail) => {
    const call = new XMLHttpRequest();
    const aborted = () => fail(signal.reason);
    signal.addEventListener("abort", () => call.abort());
    call.open("POST", path);
    call.responseType = "blob";
    call.setRequestHeader("authorization", `Bearer ${token}`);
    call.upload.addEventListener("progress", (event) => progress({ phase: "sending", part: event.lengthComputable ? event.loaded / event.total : null }));
    call.upload.addEventListener("load", () => progress({ phase: "working", part: null }));
    call.addEventListener("progress", (event) => progress({ phase: "receiving", part: event.lengthComputable ? event.loaded / event.total : null }));
    call.addEventListener("abort", aborted);
    call.addEventListener("error", () => fail(new Refusal("The service could not be reached. What is marked is kept: try again.")));
    call.addEventListener("load", () => {
      if (call.status === 200) done({ file: call.response, header: (name) => call.getResponseHeader(name) });
      else refusal(call).then(fail);
    });
    if (signal.aborted) aborted();
    else {
      progress({ phase: "sending", part: 0 });
      call.send(form);
    }
  });
}

/**
 * The same request as a shell command. It omits the token, which would end up in the shell's history.
 * @param {string} path
 * @param {FormData} form
 */
export function asCurl(path, form) {
  /** @param {string} text */
  const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  const fields = [...form].map(([name, value]) => `-F ${quoted(`${name}=${value instanceof File ? `@${value.name}` : value}`)}`);
  const ending = form.get("format") ?? "png";
  return [`curl -H "Authorization: Bearer $LACUNA_TOKEN"`, ...fields, `${new URL(path, document.baseURI).href} -o out.${ending}`].join(" \\\n  ");
}
