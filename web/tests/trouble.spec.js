import { FEW, TOKEN, read, startGateway } from "./gateway.js";
import { expect, test } from "./page.js";

test("a token that is not known is told, and can be mended", async ({ lacuna, page }) => {
  await lacuna.open("");
  await lacuna.sample("Coffee");
  await lacuna.drag([100, 60], [140, 60]);
  await page.locator("#go").click();
  await expect(page.getByRole("alert")).toHaveText("Give the access token of this service.");
  await page.getByLabel("Access token", { exact: true }).fill("wrong");
  await page.locator("#go").click();
  await expect(page.getByRole("alert")).toContainText("The access token is not known to this service.");
  await expect(page.getByRole("alert")).toContainText("Request id");
  await expect(page.locator("#token")).toBeFocused();
  await lacuna.look("error-401");
  await page.locator("#token").fill(TOKEN);
  const sent = await lacuna.erase();
  expect((await lacuna.mask(sent.form)).marked(120, 60)).toBe(true);
  await page.reload();
  await expect(page.locator("#token")).toHaveValue(TOKEN);
});

test("a link sets the token only for a service on this machine, and leaves no trace in the address", async ({ lacuna, page }) => {
  await page.goto(`${lacuna.recorder.url}/#token=from-the-link`);
  await expect(page.locator("#token")).toHaveValue("from-the-link");
  expect(await page.evaluate(() => [location.href, history.length])).toEqual([`${lacuna.recorder.url}/`, 2]);
  await page.route("http://photos.example/**", async (route) => {
    const answer = await fetch(lacuna.recorder.url + new URL(route.request().url()).pathname);
    await route.fulfill({ status: answer.status, headers: Object.fromEntries(answer.headers), body: Buffer.from(await answer.arrayBuffer()) });
  });
  await page.goto("http://photos.example/#token=from-the-link");
  await expect(page.locator("#access")).toHaveAttribute("open", "");
  await expect(page.locator("#token")).toHaveValue("");
  expect(page.url()).toBe("http://photos.example/");
});

test("what is too large is told: by the page, and by the service where only it can know", async ({ lacuna, page }) => {
  await lacuna.open();
  const large = Buffer.concat([read("photos/coffee.jpg"), Buffer.alloc(11 * 1024 * 1024)]);
  await page.locator("#file").setInputFiles({ name: "large.jpg", mimeType: "image/jpeg", buffer: large });
  await expect(page.getByRole("alert")).toHaveText("large.jpg has 11.1 MB. The limit is 10 MB.");
  expect(lacuna.recorder.sent).toEqual([]);
  // A HEIC that says it is 5000 pixels wide; the page cannot know, since the browser does not read it.
  const wide = Buffer.from(read("samples/plain.heic"));
  for (let at = wide.indexOf("ispe"); at >= 0; at = wide.indexOf("ispe", at + 4)) wide.writeUInt32BE(5000, at + 8);
  await page.locator("#file").setInputFiles({ name: "wide.heic", mimeType: "image/heic", buffer: wide });
  await expect(page.getByRole("alert")).toContainText("Image exceeds 10 MB or 4096×4096.");
  expect(lacuna.last().status).toBe(413);
  await page.locator("#file").setInputFiles({ name: "words.txt", mimeType: "text/plain", buffer: Buffer.from("words") });
  await expect(page.getByRole("alert")).toHaveText("words.txt is not a JPEG, PNG, WebP or HEIC photo.");
});

test("a photo without a subject is told so", async ({ lacuna, page }) => {
  await lacuna.open();
  const sky = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 }), ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    ink.fillStyle = "#5a80c8";
    ink.fillRect(0, 0, 320, 240);
    return canvas.toDataURL().split(",")[1];
  });
  await page.locator("#file").setInputFiles({ name: "sky.png", mimeType: "image/png", buffer: Buffer.from(sky, "base64") });
  await lacuna.tool("Subject");
  await expect(page.getByRole("alert")).toContainText("Nothing was found there. Paint over what is to go, or draw around it.");
  expect(lacuna.last().status).toBe(422);
});

test("a used up quota is told with the time to wait, and the marks stay", async ({ lacuna, page }) => {
  await lacuna.open(FEW);
  await lacuna.sample("Coffee");
  await lacuna.drag([100, 60], [140, 60]);
  // The quota is of one request a minute.
  await page.request.post(`${lacuna.recorder.url}/inpaint`, { headers: { authorization: `Bearer ${FEW}` }, multipart: { file: "spent" } });
  await page.locator("#go").click();
  await expect(page.getByRole("alert")).toContainText(/Too many requests in a short time. Try again in \d+ seconds\./);
  expect((await lacuna.painted()).count).toBeGreaterThan(0);
  await lacuna.look("error-429");
});

test("a service without models, and one that has gone, are told apart", async ({ lacuna, page }) => {
  const lonely = await startGateway("http://127.0.0.1:1");
  await lacuna.open(TOKEN, lonely.url);
  await lacuna.sample("Coffee");
  await lacuna.drag([100, 60], [140, 60]);
  await page.locator("#go").click();
  await expect(page.getByRole("alert")).toContainText("The service cannot reach its models at the moment. Try again in a second.");
  lonely.stop();
  await page.locator("#go").click();
  await expect(page.getByRole("alert")).toHaveText("The service could not be reached. What is marked is kept: try again.");
  await lacuna.look("error-lost");
  expect((await lacuna.painted()).marked(120, 60)).toBe(true);
});

test("a HEIC that the browser cannot show is shown by the service, marked, and travels as it is", async ({ lacuna, page }) => {
  await lacuna.open("");
  await lacuna.choose("samples/plain.heic");
  await expect(page.getByText("This browser cannot show HEIC photos.")).toBeVisible();
  await expect(page.getByRole("toolbar").getByRole("button", { name: "Brush" })).toBeDisabled();
  await lacuna.look("heic-blind");
  await page.locator("#token").fill(TOKEN);
  await page.getByRole("button", { name: "Show it through the service" }).click();
  await expect(page.locator("#shown")).toBeVisible();
  const { width, height } = await lacuna.size();
  await lacuna.tool("Brush");
  await page.locator("#size").fill("8");
  await lacuna.drag([width / 3, height / 2], [width / 2, height / 2]);
  const painted = await lacuna.painted(), sent = await lacuna.erase();
  expect((await lacuna.bytes(sent.form, "file")).equals(read("samples/plain.heic"))).toBe(true);
  expect((await lacuna.mask(sent.form)).differing(painted)).toBe(0);
  expect(lacuna.fields(sent.form)).toEqual({ dilation: "8", format: "png" });
});

test("the upload is followed, and can be cancelled", async ({ lacuna, page }) => {
  lacuna.recorder.pace.upload = 1_000_000;
  await lacuna.open();
  const large = Buffer.concat([read("photos/coffee.jpg"), Buffer.alloc(9 * 1024 * 1024)]);
  await page.locator("#file").setInputFiles({ name: "large.jpg", mimeType: "image/jpeg", buffer: large });
  await lacuna.drag([50, 50], [80, 60]);
  await page.locator("#go").click();
  await expect(page.locator("#go")).toHaveText(/^Cancel \(sending, [1-9]\d? %\)$/);
  await expect(page.getByRole("progressbar")).toBeVisible();
  await lacuna.look("sending");
  await page.keyboard.press("Escape");
  await expect(page.locator("#go")).toHaveText("Erase");
  await expect(page.getByRole("alert")).toBeHidden();
  expect(await lacuna.steps()).toBe(1);
  expect((await lacuna.painted()).count).toBeGreaterThan(0);
});
