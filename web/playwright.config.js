import { defineConfig } from "@playwright/test";

// Debian's Chromium, which runs as root only without its sandbox.
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export default defineConfig({
  testDir: "tests",
  outputDir: "../out/web/failures",
  fullyParallel: true,
  // A browser that draws without a GPU takes what cores there are: two of them slow the segmenter down by so much that
  // nothing is gained. It takes seconds, and on a busy machine many.
  workers: 1,
  timeout: 480_000,
  expect: { timeout: 150_000 },
  reporter: "list",
  use: {
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args },
    viewport: { width: 1280, height: 800 },
    trace: "retain-on-failure",
  },
});
