/** What every test does: open the page, find its parts, look at what was sent and how it looks. */

import { test as base, expect } from "@playwright/test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { ROOT, TOKEN, startGateway, startRecorder } from "./gateway.js";

export { expect };

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @typedef {import("@playwright/test").Page} Page */
/** @typedef {{ x: number, y: number }} Point */

/** @type {import("@playwright/test").Fixtures<{ lacuna: Lacuna }, { gateway: { url: string } }, import("@playwright/test").PlaywrightTestArgs>} */
const fixtures = {
  gateway: [async ({}, use) => { // eslint-disable-line no-empty-pattern -- Playwright reads what a fixture needs off its parameter.
    const triton = process.env.LACUNA_TEST_TRITON;
    if (!triton) throw new Error("LACUNA_TEST_TRITON is not set; run `make test-web`");
    const gateway = await startGateway(triton);
    await use(gateway);
    gateway.stop();
  }, { scope: "worker" }],
  lacuna: async ({ page, gateway }, use) => {
    const recorder = await startRecorder(gateway.url);
    const lacuna = new Lacuna(page, recorder);
    /** @type {string[]} */
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => { if (/content security policy|refused to/i.test(message.text())) faults.push(message.text()); });
    await use(lacuna);
    recorder.stop();
    expect(faults).toEqual([]);
  },
};

/** With the page before its service; a fault of a script, and what the policy forbids, fails a test. */
export const test = base.extend(fixtures);

export class Lacuna {
  /**
   * @param {Page} page
   * @param {Awaited<ReturnType<typeof startRecorder>>} recorder
   */
  constructor(page, recorder) {
    this.page = page;
    this.recorder = recorder;
  }

  /** Opens the page by the link that has a token. @param {string} [token] @param {string} [at] */
  async open(token = TOKEN, at = this.recorder.url) {
    await this.page.goto(token ? `${at}/#token=${token}` : `${at}/`);
    await expect(this.page.locator("#drop")).toBeVisible();
  }

  /** @param {"Coffee" | "Rocket" | "Cat"} name */
  async sample(name) {
    await this.page.getByRole("button", { name }).click();
    await expect(this.page.locator("#shown")).toBeVisible();
  }

  /** @param {...string} files Paths below `tests/`. */
  async choose(...files) {
    await this.page.locator("#file").setInputFiles(files.map((file) => join(ROOT, "tests", file)));
  }

  /** @param {"Brush" | "Lasso" | "Box" | "Pick" | "Subject"} name */
  async tool(name) {
    await this.page.getByRole("toolbar").getByRole("button", { name }).click();
  }

  /** Where a pixel of the photo lies in the window. @param {number} x @param {number} y @returns {Promise<Point>} */
  async at(x, y) {
    const frame = await this.page.locator("#frame").boundingBox();
    const { width, height } = await this.size();
    if (!frame) throw new Error("no photo is shown");
    return { x: frame.x + x / width * frame.width, y: frame.y + y / height * frame.height };
  }

  size() {
    return this.page.locator("#mask").evaluate((/** @type {HTMLCanvasElement} */ canvas) => ({ width: canvas.width, height: canvas.height }));
  }

  /** Drags the mouse along pixels of the photo. @param {...[number, number]} points */
  async drag(...points) {
    const [first, ...rest] = await Promise.all(points.map(([x, y]) => this.at(x, y)));
    await this.page.mouse.move(first.x, first.y);
    await this.page.mouse.down();
    for (const point of rest) await this.page.mouse.move(point.x, point.y, { steps: 4 });
    await this.page.mouse.up();
  }

  /** Presses Erase, and waits for the step that comes of it. */
  async erase() {
    const before = await this.steps();
    await this.page.locator("#go").click();
    await expect(this.page.locator("#steps li")).toHaveCount(before + 1);
    return this.last();
  }

  steps() {
    return this.page.locator("#steps li").count();
  }

  /** Waits until nothing is sent any more. */
  async rest() {
    await expect(this.page.locator("#progress")).toBeHidden();
  }

  /** What was sent last. */
  last() {
    const [sent] = this.recorder.sent.slice(-1);
    if (!sent) throw new Error("nothing was sent");
    return sent;
  }

  /** The fields of what was sent, without the files. @param {FormData} form */
  fields(form) {
    return Object.fromEntries([...form].filter(([, value]) => typeof value === "string"));
  }

  /** @param {FormData} form @param {string} name */
  async bytes(form, name) {
    const file = form.get(name);
    if (!(file instanceof File)) throw new Error(`no file ${name}`);
    return Buffer.from(await file.arrayBuffer());
  }

  /** What is light in a picture, by the browser. @param {Buffer} file */
  async light(file) {
    const base64 = file.toString("base64");
    const { width, height, levels } = await this.page.evaluate(async (base64) => {
      const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]));
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), ink = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
      ink.drawImage(bitmap, 0, 0);
      const { data } = ink.getImageData(0, 0, bitmap.width, bitmap.height);
      // Eight pixels a byte: whether the service takes them for marked.
      const bits = new Uint8Array(Math.ceil(data.length / 32));
      for (let i = 0; i < data.length / 4; i++) bits[i >> 3] |= Number(data[4 * i] >= 128) << (i & 7);
      const parts = Array.from({ length: Math.ceil(bits.length / 8192) }, (_, i) => String.fromCharCode(...bits.subarray(i * 8192, (i + 1) * 8192)));
      return { width: bitmap.width, height: bitmap.height, levels: btoa(parts.join("")) };
    }, base64);
    return new Marked(width, height, Buffer.from(levels, "base64"));
  }

  /** What is painted on the page, as a mask. */
  async painted() {
    const { width, height, levels } = await this.page.locator("#mask").evaluate((/** @type {HTMLCanvasElement} */ canvas) => {
      const { data } = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).getImageData(0, 0, canvas.width, canvas.height);
      const bits = new Uint8Array(Math.ceil(data.length / 32));
      for (let i = 0; i < data.length / 4; i++) bits[i >> 3] |= Number(data[4 * i + 3] >= 128) << (i & 7);
      const parts = Array.from({ length: Math.ceil(bits.length / 8192) }, (_, i) => String.fromCharCode(...bits.subarray(i * 8192, (i + 1) * 8192)));
      return { width: canvas.width, height: canvas.height, levels: btoa(parts.join("")) };
    });
    return new Marked(width, height, Buffer.from(levels, "base64"));
  }

  /** The mask that was sent, which must be what is painted now or was. @param {FormData} form */
  async mask(form) {
    return this.light(await this.bytes(form, "mask"));
  }

  /** Keeps how the page looks, in out/web, and holds it to the rules of accessibility. @param {string} name */
  async look(name) {
    await this.page.screenshot({ path: join(ROOT, "out/web", `${name}.png`), animations: "disabled" });
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(async () => {
      const { violations } = await /** @type {any} */ (window).axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
      return violations.map((/** @type {any} */ one) => `${one.id}: ${one.nodes.map((/** @type {any} */ node) => node.html).join(" ")}`);
    });
    expect(found, name).toEqual([]);
  }
}

/** Which pixels of a picture are marked. */
export class Marked {
  /** @param {number} width @param {number} height @param {Buffer} bits Eight pixels a byte, the first in the lowest bit. */
  constructor(width, height, bits) {
    this.width = width;
    this.height = height;
    this.bits = bits;
  }

  /** @param {number} x @param {number} y */
  marked(x, y) {
    const i = y * this.width + x;
    return (this.bits[i >> 3] >> (i & 7) & 1) === 1;
  }

  get count() {
    return this.bits.reduce((sum, byte) => sum + ones(byte), 0);
  }

  /** Pixels that are marked in one and not in the other. @param {Marked} other */
  differing(other) {
    expect([this.width, this.height]).toEqual([other.width, other.height]);
    return this.bits.reduce((sum, byte, i) => sum + ones(byte ^ other.bits[i]), 0);
  }
}

/** @param {number} byte */
const ones = (byte) => byte.toString(2).replaceAll("0", "").length;
