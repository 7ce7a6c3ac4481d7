import { readFileSync } from "node:fs";

import { read } from "./gateway.js";
import { expect, test } from "./page.js";

test("undo and redo go through marks and erasures, and nothing is lost by going back", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  const current = page.locator("#steps [aria-current=true]");
  await lacuna.drag([100, 60], [140, 60]);
  await lacuna.drag([100, 120], [140, 120]);
  const two = await lacuna.painted();
  const first = await lacuna.erase();
  await lacuna.drag([400, 300], [440, 300]);
  const second = await lacuna.erase();
  // It went on from the result, not from the original.
  expect((await lacuna.bytes(second.form, "file")).equals(first.answer)).toBe(true);
  await expect(current).toHaveText("Step 2");

  await page.keyboard.press("Control+z");
  await expect(current).toHaveText("Step 1");
  expect((await lacuna.painted()).marked(420, 300)).toBe(true);
  await page.keyboard.press("Control+z");
  expect((await lacuna.painted()).count).toBe(0);
  await page.keyboard.press("Control+z");
  await expect(current).toHaveText("Original");
  expect((await lacuna.painted()).differing(two)).toBe(0);
  await page.getByRole("button", { name: "Undo" }).click();
  expect((await lacuna.painted()).marked(120, 120)).toBe(false);
  for (const words of ["Original", "Step 1", "Step 1", "Step 2"]) {
    await page.keyboard.press("Control+Shift+z");
    await expect(current).toHaveText(words);
  }
  await expect(page.getByRole("button", { name: "Redo" })).toBeDisabled();

  await page.getByRole("button", { name: "Original", exact: true }).first().waitFor();
  await page.locator("#steps button").first().click();
  await page.getByRole("button", { name: "Clear" }).click();
  await lacuna.drag([300, 200], [330, 200]);
  const branch = await lacuna.erase();
  expect((await lacuna.bytes(branch.form, "file")).equals(read("photos/coffee.jpg"))).toBe(true);
  await expect(current).toHaveAccessibleName("Step 3, from original");
  await expect(page.locator("#steps li")).toHaveCount(4);
  await lacuna.look("steps");
});

test("the original is seen beside the result and in its place, and any step is downloaded", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await expect(page.getByRole("button", { name: "Compare" })).toBeDisabled();
  await lacuna.drag([100, 60], [140, 60]);
  const sent = await lacuna.erase(), original = page.locator("#original");
  await page.keyboard.press("c");
  await expect(original).toBeVisible();
  await page.keyboard.press("Home");
  await expect(original).toHaveCSS("clip-path", "inset(0px 100% 0px 0px)");
  await lacuna.drag([10, 100], [450, 100]);
  const clip = await original.evaluate((element) => element.style.clipPath);
  expect(Math.abs(Number(/ ([\d.]+)%/.exec(clip)?.[1]) - 25)).toBeLessThan(1);
  await lacuna.look("compare");
  await page.keyboard.press("c");
  await expect(original).toBeHidden();

  await page.keyboard.down("o");
  await expect(original).toBeVisible();
  await page.keyboard.up("o");
  await expect(original).toBeHidden();
  const hold = await page.locator("#hold").boundingBox();
  await page.mouse.move((hold?.x ?? 0) + 8, (hold?.y ?? 0) + 8);
  await page.mouse.down();
  await expect(original).toBeVisible();
  await page.mouse.up();
  await expect(original).toBeHidden();

  const [saved] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("d")]);
  expect(saved.suggestedFilename()).toBe("coffee-lacuna.jpg");
  expect(readFileSync(await saved.path()).equals(sent.answer)).toBe(true);
});

test("a result and its command are copied", async ({ lacuna, page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await lacuna.open();
  await lacuna.sample("Coffee");
  await lacuna.tool("Box");
  await lacuna.drag([100, 100], [200, 180]);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await expect(page.locator("#said")).toHaveText("The command was copied.");
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const [x, y, w, h] = await Promise.all(["x", "y", "w", "h"].map((key) => page.locator(`#${key}`).inputValue()));
  expect(command.replaceAll(" \\\n ", "")).toBe(
    `curl -H "Authorization: Bearer $LACUNA_TOKEN" -F file=@coffee.jpg -F x=${x} -F y=${y} -F w=${w} -F h=${h} -F dilation=8 -F format=jpg ${lacuna.recorder.url}/inpaint -o out.jpg`);
  await lacuna.erase();
  await page.getByRole("button", { name: "Copy as curl" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText()), "what made the result").toBe(command);
  await page.getByRole("button", { name: "Copy", exact: true }).click();
  await expect(page.locator("#said")).toHaveText("The picture was copied.");
  expect(await page.evaluate(async () => (await navigator.clipboard.read())[0].types)).toContain("image/png");
});

test("several photos are worked through, each with its own steps", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.choose("photos/coffee.jpg", "photos/rocket.jpg", "photos/chelsea.png");
  const photos = page.getByRole("list", { name: "Photos" });
  await expect(photos.getByRole("button")).toHaveCount(3);
  await lacuna.drag([100, 60], [140, 60]);
  await lacuna.erase();
  await page.keyboard.press("n");
  await expect(page.locator("#facts")).toContainText("rocket.jpg, 640 × 427");
  await expect(page.locator("#steps li")).toHaveCount(1);
  await lacuna.drag([300, 200], [310, 300]);
  await photos.getByRole("button", { name: /coffee/ }).click();
  await expect(page.locator("#steps li")).toHaveCount(2);
  expect((await lacuna.painted()).count).toBe(0);
  await page.getByRole("button", { name: "Next photo" }).click();
  expect((await lacuna.painted()).count).toBeGreaterThan(0);
  await lacuna.look("photos");
});

test("a result larger than the service takes is gone on from all the same", async ({ lacuna, page }) => {
  await lacuna.open();
  const noise = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 2100, height: 2000 }), ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const part = ink.createImageData(2100, 2000), pixels = new Uint32Array(part.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = Math.random() * 0x1000000 | 0xff000000;
    ink.putImageData(part, 0, 0);
    return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
  });
  const file = Buffer.from(noise, "base64");
  await page.locator("#file").setInputFiles({ name: "noise.jpg", mimeType: "image/jpeg", buffer: file });
  await page.getByText("Format and mask").click();
  await page.getByLabel("Format of the result").selectOption("png");
  await lacuna.drag([500, 500], [600, 500]);
  const one = await lacuna.painted(), first = await lacuna.erase();
  expect(first.answer.length).toBeGreaterThan(10 * 1024 * 1024);
  await lacuna.drag([1500, 1500], [1600, 1500]);
  const two = await lacuna.painted(), second = await lacuna.erase();
  expect((await lacuna.bytes(second.form, "file")).equals(file)).toBe(true);
  const mask = await lacuna.mask(second.form);
  expect(mask.count).toBe(one.count + two.count);
  expect(mask.marked(550, 500) && mask.marked(1550, 1500)).toBe(true);
});
