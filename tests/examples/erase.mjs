// Shows what is to go, and erases it. Usage: LACUNA_TOKEN=… node erase.mjs ADDRESS PHOTO MASK RESULT

import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

const [address, photo, mask, result] = process.argv.slice(2);

/** Sends files; waits as the service says where it is busy. */
async function post(path, files) {
  const form = new FormData();
  for (const [name, file] of Object.entries(files)) form.append(name, await openAsBlob(file), name);
  const headers = { authorization: `Bearer ${process.env.LACUNA_TOKEN}` };
  const answer = await fetch(address + path, { method: "POST", headers, body: form });
  if (answer.status === 429 || answer.status === 503) {
    await setTimeout(1000 * Number(answer.headers.get("retry-after")));
    return post(path, files);
  }
  if (!answer.ok) throw new Error(await answer.text());
  return new Uint8Array(await answer.arrayBuffer());
}

await writeFile(mask, await post("/mask", { file: photo }));
await writeFile(result, await post("/inpaint", { file: photo, mask }));
