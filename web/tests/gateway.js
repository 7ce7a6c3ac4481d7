/** The real gateway, and a recorder before it that keeps what the page sends. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROOT = new URL("../../", import.meta.url).pathname;
export const TOKEN = "token-of-the-page";
export const FEW = "token-with-a-quota-of-one";

/** @param {string} path */
export const read = (path) => readFileSync(join(ROOT, "tests", path));

/** @returns {Promise<number>} */
const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = /** @type {net.AddressInfo} */ (server.address());
    server.close(() => done(port));
  });
});

/** @param {string} triton */
export async function startGateway(triton) {
  const [port, admin] = [await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), "lacuna-web-")), tokens = join(folder, "tokens");
  /** @param {string} token */
  const digest = (token) => createHash("sha256").update(token).digest("hex");
  writeFileSync(tokens, `page ${digest(TOKEN)} 60000 10000\nfew ${digest(FEW)} 1 1\n`);
  const gateway = spawn(join(ROOT, "target/release/lacuna"), {
    env: {
      ...process.env, LACUNA_LISTEN: `127.0.0.1:${port}`, LACUNA_ADMIN_LISTEN: `127.0.0.1:${admin}`, LACUNA_TRITON: triton,
      LACUNA_TOKENS_FILE: tokens, LACUNA_REQUEST_TIMEOUT: "300",
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://127.0.0.1:${port}`;
  const wanted = triton.endsWith(":1") ? "/livez" : "/readyz";
  for (let i = 0; ; i++) {
    const up = await fetch(url + wanted).then((answer) => answer.ok, () => false);
    if (up) break;
    if (i > 200 || gateway.exitCode !== null) throw new Error(`the gateway does not answer at ${url}${wanted}`);
    await new Promise((done) => setTimeout(done, 100));
  }
  return { url, stop: () => gateway.kill("SIGKILL") };
}

/** @typedef {{ path: string, form: FormData, answer: Buffer, status: number }} Sent */

/**
 * Hands everything on to the gateway, and keeps the forms and what they were answered.
 * @param {string} target
 */
export async function startRecorder(target) {
  /** @type {Sent[]} */
  const sent = [];
  /** Bytes a second that an upload may have. */
  const pace = { upload: Infinity };
  const server = http.createServer((request, response) => {
    /** @type {Buffer[]} */
    const body = [];
    const onward = http.request(target + request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      /** @type {Buffer[]} */
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", async () => {
        if (request.method !== "POST") return;
        const headers = { "content-type": request.headers["content-type"] ?? "" };
        // Who is refused early may have sent a part only.
        const form = await new Response(Buffer.concat(body), { headers }).formData().catch(() => new FormData());
        sent.push({ path: request.url ?? "", form, answer: Buffer.concat(chunks), status: answer.statusCode ?? 0 });
      });
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.on("close", () => { if (!request.complete) onward.destroy(); });
    request.on("data", (chunk) => {
      body.push(chunk);
      onward.write(chunk);
      if (pace.upload === Infinity) return;
      request.pause();
      setTimeout(() => request.resume(), 1000 * chunk.length / pace.upload);
    });
    request.on("end", () => onward.end());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(undefined)));
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, sent, pace, stop: () => { server.closeAllConnections(); server.close(); } };
}
