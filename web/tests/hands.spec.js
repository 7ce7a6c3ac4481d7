/** The ways to reach the page: keys alone, wheel, touch, pen, and what it looks like to each. */

import { join } from "node:path";

import { ROOT, TOKEN } from "./gateway.js";
import { expect, test } from "./page.js";

test("keys alone open, mark with every tool, erase, compare and take back", async ({ lacuna, page }) => {
  await lacuna.open();
  const press = async (/** @type {string[]} */ ...keys) => { for (const key of keys) await page.keyboard.press(key); };
  const until = async (/** @type {string} */ selector) => {
    for (let i = 0; i < 40; i++) {
      if (await page.locator(selector).evaluate((element) => element === document.activeElement)) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not reach ${selector}`);
  };
  await until("[data-sample='coffee.jpg']");
  await press("Enter");
  await expect(page.locator("#shown")).toBeVisible();
  await until("#surface");
  await lacuna.look("keys-focus");
  await press("ArrowLeft", "Enter", "ArrowRight", "ArrowRight", "ArrowRight", "Enter", "ArrowDown");
  const brushed = await lacuna.painted();
  expect(brushed.marked(300, 200)).toBe(true);
  await press("l", "Enter", ...Array(6).fill("ArrowRight"), "Enter", ...Array(6).fill("ArrowDown"), "Enter", ...Array(6).fill("ArrowLeft"), ...Array(6).fill("ArrowUp"), "Enter");
  const lassoed = (await lacuna.painted()).differing(brushed);
  expect(lassoed).toBeGreaterThan(200);
  await press("x", ...Array(9).fill("ArrowUp"), "Enter", "ArrowRight", "ArrowRight", "Shift+ArrowUp", "Enter");
  await expect(page.locator("#h")).toHaveValue("1");
  await press("p", ...Array(4).fill("ArrowDown"), "Enter");
  await expect(page.locator("#looking")).toBeHidden();
  await lacuna.rest();
  const picked = await lacuna.painted();
  await press("e");
  await expect(page.locator("#steps li")).toHaveCount(2);
  expect((await lacuna.mask(lacuna.last().form)).differing(picked)).toBe(0);
  await press("c", "ArrowLeft");
  await expect(page.locator("#original")).toBeVisible();
  await press("Escape", "c", "Control+z");
  expect((await lacuna.painted()).differing(picked)).toBe(0);
  await press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await lacuna.look("keys");
  await page.getByLabel("Single letters are keys").press("Space");
  await press("Escape", "b");
  await expect(page.getByRole("toolbar").getByRole("button", { name: "Pick" })).toHaveAttribute("aria-pressed", "true");
});

test("the wheel zooms at the pointer, with Alt widens the brush; Space and a drag move the photo", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  const before = await lacuna.at(450, 100);
  await page.mouse.move(before.x, before.y);
  await page.mouse.wheel(0, -600);
  const after = await lacuna.at(450, 100);
  expect(Math.hypot(after.x - before.x, after.y - before.y)).toBeLessThan(3);
  expect(Number.parseInt(await page.locator("#fit").innerText())).toBeGreaterThan(180);

  await page.keyboard.down("Space");
  await page.mouse.down();
  await page.mouse.move(before.x + 60, before.y + 20, { steps: 3 });
  await page.mouse.up();
  await page.keyboard.up("Space");
  const moved = await lacuna.at(450, 100);
  expect([Math.round(moved.x - after.x), Math.round(moved.y - after.y)]).toEqual([60, 20]);
  expect((await lacuna.painted()).count).toBe(0);

  const size = async () => Number(await page.locator("#size").inputValue());
  const at = await size();
  await page.keyboard.down("Alt");
  await page.mouse.wheel(0, -100);
  await page.keyboard.up("Alt");
  const wider = await size();
  expect(wider).toBeGreaterThan(at);
  await page.keyboard.press("[");
  expect(await size()).toBeLessThan(wider);
  await page.keyboard.press("]");
  // What is painted lies where the pointer is, however the photo is shown.
  await lacuna.drag([400, 100], [430, 100]);
  const painted = await lacuna.painted();
  expect([painted.marked(415, 100), painted.marked(415, 190)]).toEqual([true, false]);
  await page.keyboard.press("0");
  await lacuna.look("zoomed-back");
});

/** @param {import("@playwright/test").Page} page */
async function fingers(page) {
  const session = await page.context().newCDPSession(page);
  return (/** @type {"touchStart" | "touchMove" | "touchEnd"} */ type, /** @type {{ x: number, y: number }[]} */ ...points) => session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map((point, id) => ({ ...point, id })) });
}

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });

  test("a finger paints under a magnifier, two fingers zoom and leave no mark", async ({ lacuna, page }) => {
    await lacuna.open();
    await lacuna.look("phone-start");
    await lacuna.sample("Coffee");
    const touch = await fingers(page);
    const [a, b] = [await lacuna.at(200, 200), await lacuna.at(300, 220)];
    await touch("touchStart", a);
    await touch("touchMove", { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    await touch("touchMove", b);
    await expect(page.locator("#loupe")).toBeVisible();
    await page.screenshot({ path: "../out/web/phone-loupe.png" });
    await touch("touchEnd");
    await expect(page.locator("#loupe")).toBeHidden();
    const painted = await lacuna.painted();
    expect([painted.marked(250, 210), painted.marked(250, 300)]).toEqual([true, false]);

    const zoom = async () => Number.parseInt(await page.locator("#fit").innerText());
    const before = await zoom(), middle = await lacuna.at(300, 200);
    await touch("touchStart", { x: middle.x - 30, y: middle.y });
    await touch("touchStart", { x: middle.x - 30, y: middle.y }, { x: middle.x + 30, y: middle.y });
    await touch("touchMove", { x: middle.x - 60, y: middle.y }, { x: middle.x + 60, y: middle.y });
    await touch("touchMove", { x: middle.x - 90, y: middle.y }, { x: middle.x + 90, y: middle.y });
    await touch("touchEnd");
    expect(await zoom()).toBeGreaterThan(2.5 * before);
    const still = await lacuna.at(300, 200);
    expect(Math.hypot(still.x - middle.x, still.y - middle.y)).toBeLessThan(6);
    expect((await lacuna.painted()).differing(painted)).toBe(0);

    await page.locator("#fit").tap();
    const sent = await lacuna.erase();
    expect((await lacuna.mask(sent.form)).differing(painted)).toBe(0);
    await lacuna.look("phone-erased");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(390);
  });

  test("an object is picked with a tap, in the dark", async ({ lacuna, page }) => {
    await page.emulateMedia({ colorScheme: "dark" });
    await lacuna.open();
    await lacuna.sample("Coffee");
    await page.getByRole("toolbar").getByRole("button", { name: "Pick" }).tap();
    const cup = await lacuna.at(300, 150);
    await page.touchscreen.tap(cup.x, cup.y);
    await expect.poll(async () => (await lacuna.painted()).marked(300, 150)).toBe(true);
    await lacuna.look("phone-dark-pick");
    await lacuna.erase();
    await page.getByRole("button", { name: "Compare" }).tap();
    await lacuna.look("phone-dark-compare");
  });
});

test("a pen's other end takes away", async ({ lacuna, page }) => {
  await lacuna.open();
  await lacuna.sample("Coffee");
  await lacuna.drag([100, 100], [200, 100]);
  const [a, b] = [await lacuna.at(150, 60), await lacuna.at(150, 140)];
  await page.locator("#surface").evaluate((surface, [a, b]) => {
    surface.setPointerCapture = () => {}; // Made-up pointers cannot be captured.
    const pen = { pointerId: 7, pointerType: "pen", bubbles: true, button: 5, buttons: 32 };
    surface.dispatchEvent(new PointerEvent("pointerdown", { ...pen, clientX: a.x, clientY: a.y }));
    surface.dispatchEvent(new PointerEvent("pointermove", { ...pen, button: -1, clientX: b.x, clientY: b.y }));
    surface.dispatchEvent(new PointerEvent("pointerup", { ...pen, buttons: 0, clientX: b.x, clientY: b.y }));
  }, [a, b]);
  const painted = await lacuna.painted();
  expect([painted.marked(110, 100), painted.marked(150, 100), painted.marked(190, 100)]).toEqual([true, false, true]);
});

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`every state is plain to see and to hear in the ${scheme}`, async ({ lacuna, page }) => {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await lacuna.open();
    await lacuna.look(`${scheme}-start`);
    await lacuna.sample("Coffee");
    await lacuna.drag([100, 60], [240, 80]);
    await lacuna.look(`${scheme}-brush`);
    await lacuna.tool("Pick");
    const cup = await lacuna.at(300, 150);
    await page.mouse.click(cup.x, cup.y);
    await expect(page.locator("#looking")).toBeVisible();
    expect(await page.locator("#looking").evaluate((element) => getComputedStyle(element).animationName)).toBe("none");
    await lacuna.look(`${scheme}-looking`);
    await expect(page.locator("#looking")).toBeHidden();
    await lacuna.erase();
    await lacuna.look(`${scheme}-erased`);
    await page.keyboard.press("c");
    await lacuna.look(`${scheme}-compare`);
    await page.goto(`${lacuna.recorder.url}/docs`);
    await expect(page.getByText(`${lacuna.recorder.url}/mask`).first()).toBeVisible();
    await lacuna.look(`${scheme}-docs`);
  });
}

test("the documentation sends a request, and shows it for a shell", async ({ lacuna, page }) => {
  await lacuna.open();
  await page.goto(`${lacuna.recorder.url}/docs`);
  const form = page.locator("#request-form"), status = page.locator("#status");
  await form.getByLabel("file").setInputFiles(join(ROOT, "tests/photos/rocket.jpg"));
  for (const [name, value] of Object.entries({ x: "295", y: "70", w: "75", h: "330" })) await form.getByLabel(name, { exact: true }).fill(value);
  await form.getByLabel("format").selectOption("webp");
  await expect(page.locator("#curl")).toHaveText(
    `curl -H "Authorization: Bearer $LACUNA_TOKEN" \\\n  -F file=@rocket.jpg \\\n  -F x=295 \\\n  -F y=70 \\\n  -F w=75 \\\n  -F h=330 \\\n  -F format=webp \\\n  ${lacuna.recorder.url}/inpaint -o out.webp`,
  );
  await form.getByRole("button", { name: "Send" }).click();
  await expect(status).toHaveText(/^200/);
  await expect(page.locator("#result-headers")).toContainText("x-knockout-mode: bbox");
  await expect(page.locator("#result-picture")).toBeVisible();
  expect(await page.locator("#result-picture").evaluate((shown) => /** @type {HTMLImageElement} */ (shown).naturalWidth)).toBe(640);
  await lacuna.look("docs-tried");

  await form.getByLabel("x", { exact: true }).fill("-1");
  await form.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("#result-text")).toContainText('"error":"invalid_bbox"');
  await expect(page.locator("#result-picture")).toBeHidden();

  await form.getByLabel("Address").selectOption("/mask");
  await expect(form.getByLabel("format")).toBeDisabled();
  for (const name of ["x", "y", "w", "h"]) await form.getByLabel(name, { exact: true }).fill("");
  await form.getByRole("button", { name: "Send" }).click();
  await expect(status).toHaveText(/^200/);
  await expect(page.locator("#result-headers")).toContainText("content-type: image/png");
});

test("the token is kept in the tab and nowhere else", async ({ lacuna, page }) => {
  await lacuna.open();
  expect(await page.evaluate(() => [sessionStorage.getItem("token"), localStorage.length, document.cookie])).toEqual([TOKEN, 0, ""]);
});
