/** Photos as files: their format, and how to show them. */

import { pen, size } from "./dom.js";

/**
 * A limit of the service, as it is written into the page.
 * @param {string} name
 */
const limit = (name) => Number(document.body.dataset[name]);
export const MAX_BYTES = limit("maxBytes");
const MAX_SIDE = limit("maxSide"), MAX_PIXELS = limit("maxPixels");

/**
 * A photo and a URL for showing it. The size is as displayed; `width` is 0 if the browser cannot show it.
 * @typedef {{ file: Blob, name: string, kind: string, url: string, width: number, height: number }} Photo
 */

/** An error with a message meant for the user. */
export class Refusal extends Error {}

/** @param {Blob} file */
async function kindOf(file) {
  const text = String.fromCharCode(...new Uint8Array(await file.slice(0, 64).arrayBuffer()));
  if (text.startsWith("\xff\xd8\xff")) return "JPEG";
  if (text.startsWith("\x89PNG")) return "PNG";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "WebP";
  return text.slice(4, 8) === "ftyp" && /hei[cxms]|hev[cx]/.test(text) ? "HEIC" : null;
}

/**
 * The orientation (1 to 8) in a WebP file's Exif, and the offset of that chunk.
 * @param {Uint8Array} bytes
 */
function turnOfWebp(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (String.fromCharCode(...bytes.subarray(at, at + 4)) === "EXIF") {
      const tiff = at + (bytes[at + 8] === 0x45 ? 14 : 8), little = bytes[tiff] === 0x49;
      const list = tiff + view.getUint32(tiff + 4, little), count = view.getUint16(list, little);
      const entries = Array.from({ length: count }, (_, i) => list + 2 + 12 * i);
      const entry = entries.find((entry) => view.getUint16(entry, little) === 0x112);
      return { at, turn: entry ? view.getUint16(entry + 8, little) : 1 };
    }
    at += 8 + length + length % 2;
  }
  return { at: 0, turn: 1 };
}

/**
 * What to show for a photo: the file itself, except for a rotated WebP, which not every browser shows upright.
 * @param {Blob} file
 * @param {string} kind
 */
async function upright(file, kind) {
  if (kind !== "WebP") return file;
  const bytes = new Uint8Array(await file.arrayBuffer()), { at, turn } = turnOfWebp(bytes);
  if (!(turn > 1 && turn < 9)) return file;
  bytes.set([0x2d, 0x2d, 0x2d, 0x2d], at); // Rename the chunk so that it is ignored: the picture as stored.
  const stored = await createImageBitmap(new Blob([bytes], { type: "image/webp" })), { width: w, height: h } = stored;
  const turns = [[-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h],
    [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, h, 0], [0, -1, -1, 0, h, w], [0, -1, 1, 0, 0, w]];
  const copy = Object.assign(document.createElement("canvas"), { width: turn > 4 ? h : w, height: turn > 4 ? w : h });
  const [a, b, c, d, e, f] = turns[turn - 2];
  pen(copy).setTransform(a, b, c, d, e, f);
  pen(copy).drawImage(stored, 0, 0);
  return pngOf(copy);
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
export const pngOf = (canvas) => new Promise((done, fail) => {
  canvas.toBlob((blob) => blob ? done(blob) : fail(new Refusal("This browser has no memory left for the picture.")), "image/png");
});

/**
 * A URL for showing a picture, and its displayed size; 0 if the browser cannot show it.
 * @param {Blob} file
 * @param {string} kind
 */
export async function show(file, kind) {
  const image = new Image();
  image.src = URL.createObjectURL(await upright(file, kind).catch(() => file));
  const shown = await image.decode().then(() => true, () => false);
  return { url: image.src, width: shown ? image.naturalWidth : 0, height: shown ? image.naturalHeight : 0 };
}

/**
 * Opens a file chosen by the user.
 * @param {File} file
 * @returns {Promise<Photo>}
 */
export async function open(file) {
  const kind = await kindOf(file);
  if (!kind) throw new Refusal(`${file.name} is not a JPEG, PNG, WebP or HEIC photo.`);
  if (file.size > MAX_BYTES) throw new Refusal(`${file.name} has ${size(file.size)}. The limit is ${MAX_BYTES / 1048576} MB.`);
  const seen = await show(file, kind);
  const large = Math.max(seen.width, seen.height) > MAX_SIDE;
  if (large || seen.width * seen.height > MAX_PIXELS) {
    URL.revokeObjectURL(seen.url);
    const most = large ? `${MAX_SIDE} on a side` : `${MAX_PIXELS / 1e6} million`;
    throw new Refusal(`${file.name} has ${seen.width} × ${seen.height} pixels. The limit is ${most}.`);
  }
  return { file, name: file.name, kind, ...seen };
}
