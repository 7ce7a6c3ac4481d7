import { read } from "./gateway.js";
import { expect, test } from "./page.js";

test("three clicks erase the subject of a sample, and the original's bytes travel with the mask that was shown", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.look("start");
  expect(page.url()).not.toContain("token");
  await lacuna.sample("Coffee");
  await lacuna.tool("Subject");
  await lacuna.rest();
  await lacuna.look("subject");
  const found = lacuna.last(), shown = await lacuna.painted();
  expect(found.path).toBe("/mask");
  expect(Object.keys(lacuna.fields(found.form))).toEqual([]);
  expect((await lacuna.bytes(found.form, "file")).equals(read("photos/coffee.jpg"))).toBe(true);
  expect(shown.differing(await lacuna.light(found.answer))).toBe(0);

  const sent = await lacuna.erase();
  expect(sent.path).toBe("/inpaint");
  expect((await lacuna.bytes(sent.form, "file")).equals(read("photos/coffee.jpg"))).toBe(true);
  const mask = await lacuna.mask(sent.form);
  expect(mask.differing(shown)).toBe(0);
  expect(mask.marked(300, 200) && !mask.marked(5, 395)).toBe(true);
  expect(lacuna.fields(sent.form)).toEqual({ dilation: "8", format: "jpg" });
  await expect(page.locator("#told")).toContainText("Mode");
  await expect(page.locator("#told")).toContainText("mask");
  await lacuna.look("erased");
});

test("what the brush paints is what is sent, and what it takes away is not", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await page.locator("#size").fill("40");
  await lacuna.drag([100, 100], [200, 100]);
  await page.keyboard.down("Alt");
  await lacuna.drag([150, 60], [150, 140]);
  await page.keyboard.up("Alt");
  const painted = await lacuna.painted();
  const stroke = 40 * 100 + Math.PI * 400, cut = 40 * 40;
  expect(Math.abs(painted.count - (stroke - cut))).toBeLessThan(0.04 * stroke);
  expect([painted.marked(90, 100), painted.marked(150, 100), painted.marked(210, 100), painted.marked(100, 125)]).toEqual([true, false, true, false]);
  const sent = await lacuna.erase();
  expect((await lacuna.mask(sent.form)).differing(painted)).toBe(0);
  expect((await lacuna.painted()).count).toBe(0);
});

test("the lasso marks what it was drawn around", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await page.keyboard.press("l");
  await lacuna.drag([100, 50], [300, 50], [300, 250], [100, 50]);
  const sent = await lacuna.erase(), mask = await lacuna.mask(sent.form);
  expect(Math.abs(mask.count - 200 * 200 / 2)).toBeLessThan(600);
  expect([mask.marked(280, 100), mask.marked(120, 200), mask.marked(310, 100)]).toEqual([true, false, false]);
});

test("a box travels as numbers: drawn, taken by a corner, moved, typed", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await lacuna.tool("Box");
  await lacuna.drag([100, 100], [200, 180]);
  await lacuna.drag([200, 180], [240, 200]);
  await lacuna.drag([170, 150], [180, 140]);
  await lacuna.look("box");
  const values = await Promise.all(["x", "y", "w", "h"].map((key) => page.locator(`#${key}`).inputValue()));
  const near = [110, 90, 140, 100];
  values.forEach((value, i) => expect(Math.abs(Number(value) - near[i])).toBeLessThan(2));
  let sent = await lacuna.erase();
  const [x, y, w, h] = values;
  expect(lacuna.fields(sent.form)).toEqual({ x, y, w, h, dilation: "8", format: "jpg" });
  expect(sent.form.get("mask")).toBeNull();
  await expect(page.locator("#told")).toContainText("bbox");

  for (const [key, value] of Object.entries({ x: "10", y: "20", w: "30", h: "9999" })) await page.locator(`#${key}`).fill(value);
  expect((await lacuna.painted()).count).toBe(30 * 380);
  // With anything beside it, a box is a part of a mask.
  await page.keyboard.press("Tab");
  await lacuna.tool("Brush");
  await lacuna.drag([300, 300], [320, 300]);
  const painted = await lacuna.painted();
  sent = await lacuna.erase();
  expect((await lacuna.mask(sent.form)).differing(painted)).toBe(0);
  expect(lacuna.fields(sent.form)).toEqual({ dilation: "8", format: "jpg" });
});

test("picks add up, and with Alt take away", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await lacuna.tool("Pick");
  const cup = await lacuna.at(300, 150);
  await page.mouse.click(cup.x, cup.y);
  await expect(page.locator("#looking")).toBeVisible();
  await expect(page.locator("#looking")).toBeHidden();
  await lacuna.look("pick");
  const asked = lacuna.last();
  expect(asked.path).toBe("/mask");
  expect(lacuna.fields(asked.form)).toEqual({ x: "300", y: "150" });
  const first = await lacuna.painted();
  expect(first.marked(300, 150)).toBe(true);
  expect(first.differing(await lacuna.light(asked.answer))).toBe(0);
  await page.keyboard.down("Alt");
  await page.mouse.click(cup.x, cup.y);
  await page.keyboard.up("Alt");
  await expect.poll(async () => (await lacuna.painted()).count).toBe(0);
  await page.keyboard.press("Control+z");
  expect((await lacuna.painted()).differing(first)).toBe(0);
});

test("without a mask the service finds the subject itself", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await lacuna.tool("Subject");
  await page.keyboard.press("Escape");
  await lacuna.rest();
  expect((await lacuna.painted()).count).toBe(0);
  await expect(page.locator("#go")).toHaveText("Erase the subject");
  const sent = await lacuna.erase();
  expect(lacuna.fields(sent.form)).toEqual({ dilation: "8", format: "jpg" });
  expect(sent.form.get("mask")).toBeNull();
  await expect(page.locator("#told")).toContainText("auto-subject");
});

test("a mask of one's own is chosen or dropped, and scaled as the service does it", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await page.getByText("Format and mask").click();
  // 3 x 2 pixels, of which the middle one above is white.
  const small = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 3, height: 2 }), ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    ink.fillStyle = "#fff";
    ink.fillRect(1, 0, 1, 1);
    return canvas.toDataURL().split(",")[1];
  });
  await page.locator("#mask-file").setInputFiles({ name: "m.png", mimeType: "image/png", buffer: Buffer.from(small, "base64") });
  await expect.poll(async () => (await lacuna.painted()).count).toBe(200 * 200);
  const chosen = await lacuna.painted();
  expect([chosen.marked(200, 0), chosen.marked(199, 0), chosen.marked(399, 199), chosen.marked(400, 199)]).toEqual([true, false, true, false]);

  await page.getByRole("button", { name: "Clear" }).click();
  expect((await lacuna.painted()).count).toBe(0);
  const dropped = await page.evaluateHandle((small) => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(small), (c) => c.charCodeAt(0))], "m.png", { type: "image/png" }));
    return files;
  }, small);
  await page.dispatchEvent("#stage", "dragenter", { dataTransfer: dropped });
  await expect(page.getByText("Use as a mask")).toBeVisible();
  await lacuna.look("drop");
  await page.dispatchEvent("[data-drop=mask]", "drop", { dataTransfer: dropped });
  await expect.poll(async () => (await lacuna.painted()).count).toBe(200 * 200);
  await expect(page.getByText("Use as a mask")).toBeHidden();

  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the mask" }).click()]);
  expect(saved.suggestedFilename()).toBe("coffee-mask.png");
  const sent = await lacuna.erase();
  expect((await lacuna.mask(sent.form)).differing(chosen)).toBe(0);
});

test("erase on release needs no button", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Cat");
  await page.getByLabel("Erase on release").check();
  await lacuna.drag([50, 50], [80, 60]);
  await expect(page.locator("#steps li")).toHaveCount(2);
  expect(lacuna.fields(lacuna.last().form)).toEqual({ dilation: "8", format: "png" });
});
