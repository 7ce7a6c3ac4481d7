/** The documentation: its examples call the server that it came from. */

if (location.protocol.startsWith("http")) {
  const here = new URL(".", location.href).href.slice(0, -1);
  for (const place of document.querySelectorAll("[data-origin]")) place.textContent = here;
}

export {};
