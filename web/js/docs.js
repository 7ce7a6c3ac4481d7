/** The API reference: its examples call the server it was loaded from, and a form sends requests to it. */

import { $, image, input } from "./dom.js";
import { asCurl } from "./service.js";

if (location.protocol.startsWith("http")) {
  const here = new URL(".", location.href).href.slice(0, -1);
  for (const place of document.querySelectorAll("[data-origin]")) place.textContent = here;
}

const filled = /** @type {HTMLFormElement} */ ($("request-form"));
const path = /** @type {HTMLSelectElement} */ ($("path"));

/** The path, relative to this server's, and the form data as filled in. */
function request() {
  const form = new FormData(filled);
  for (const [name, value] of [...form]) if (value === "" || value instanceof File && !value.name) form.delete(name);
  return { path: path.value.slice(1), form };
}

function show() {
  // /mask has only one output format and takes no mask.
  for (const name of ["mask", "format"]) {
    const field = /** @type {HTMLInputElement} */ (filled.elements.namedItem(name));
    field.disabled = path.value === "/mask";
  }
  const { path: below, form } = request();
  $("curl").textContent = asCurl(below, form);
}

async function send() {
  const { path: below, form } = request();
  $("result").hidden = false;
  $("status").textContent = "Sent …";
  for (const part of ["result-headers", "result-text", "result-picture"]) $(part).hidden = true;
  const headers = { authorization: `Bearer ${input("token").value.trim()}` };
  const answer = await fetch(below, { method: "POST", headers, body: form });
  const body = await answer.blob();
  $("status").textContent = `${answer.status} ${answer.statusText}`;
  $("result-headers").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const picture = body.type.startsWith("image/");
  if (picture) {
    URL.revokeObjectURL(image("result-picture").src);
    image("result-picture").src = URL.createObjectURL(body);
  } else $("result-text").textContent = await body.text();
  $("result-headers").hidden = false;
  $(picture ? "result-picture" : "result-text").hidden = false;
}

input("token").value = sessionStorage.getItem("token") ?? "";
filled.addEventListener("input", show);
filled.addEventListener("submit", (event) => {
  event.preventDefault();
  send().catch(() => { $("status").textContent = "The service could not be reached."; });
});
show();
