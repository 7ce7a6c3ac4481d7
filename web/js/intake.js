/** Input to the page: files chosen, dropped or pasted, samples, and the token, typed or from the link that `make run` prints. */

import { $, all, input } from "./dom.js";
import { open } from "./photo.js";
import { state } from "./state.js";

/**
 * @param {{ opened: (photos: import("./photo.js").Photo[]) => void, useMask: (file: Blob) => Promise<void>, fail: (error: unknown) => void }} page
 */
export function takeIn({ opened, useMask, fail }) {
  /** Opens what can be opened, and reports the rest. @param {Iterable<File>} files */
  async function take(files) {
    const done = await Promise.allSettled([...files].map((file) => open(file)));
    const photos = done.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    if (photos.length) opened(photos);
    for (const one of done) if (one.status === "rejected") fail(one.reason);
  }

  input("file").addEventListener("change", () => {
    const files = [...input("file").files ?? []];
    input("file").value = "";
    take(files).catch(fail);
  });
  $("add").addEventListener("click", () => input("file").click());
  $("mask-open").addEventListener("click", () => input("mask-file").click());
  input("mask-file").addEventListener("change", () => {
    const [file] = input("mask-file").files ?? [];
    input("mask-file").value = "";
    if (file) useMask(file).catch(fail);
  });
  for (const sample of all("[data-sample]")) {
    const name = sample.dataset.sample ?? "";
    sample.addEventListener("click", async () => {
      try {
        const file = await (await fetch(`web/samples/${name}`)).blob();
        await take([new File([file], name, { type: file.type })]);
      } catch {
        fail(new Error("the sample could not be loaded"));
      }
    });
  }

  /** With a photo open, a dropped file may be another photo or a mask, depending on where it is dropped. */
  for (const kind of /** @type {const} */ (["dragenter", "dragover", "dragleave", "drop"])) {
    document.addEventListener(kind, (event) => {
      const files = event.dataTransfer;
      if (!files?.types.includes("Files")) return;
      event.preventDefault();
      const over = event.target instanceof Element ? event.target.closest("[data-drop]") : null;
      const left = kind === "drop" || (kind === "dragleave" && event.relatedTarget === null);
      $("stage").classList.toggle("aim", !left && !state.work);
      $("choose").hidden = left || !state.work;
      for (const one of all("[data-drop]")) one.classList.toggle("over", one === over && !left);
      if (kind !== "drop") return;
      if (over?.getAttribute("data-drop") === "mask") useMask(files.files[0]).catch(fail);
      else take(files.files).catch(fail);
    });
  }
  document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData.files).catch(fail); });

  takeToken();
}

/**
 * The token entered in this tab before, or from a link to this machine. Browsers send the fragment to no server; it is removed from the
 * address at once, so that neither history nor bookmarks keep it.
 */
function takeToken() {
  const linked = new URLSearchParams(location.hash.slice(1)).get("token");
  if (linked !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    if (["127.0.0.1", "localhost", "[::1]"].includes(location.hostname)) sessionStorage.setItem("token", linked);
  }
  input("token").value = sessionStorage.getItem("token") ?? "";
  $("access").toggleAttribute("open", !input("token").value);
  input("token").addEventListener("input", () => sessionStorage.setItem("token", input("token").value));
}
