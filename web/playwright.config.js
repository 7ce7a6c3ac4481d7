import { defineConfig } from "@playwright/test";

// Debian's Chromium, which as root runs only without its sandbox.
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export default defineConfig({
  testDir: "tests",
  outputDir: "../out/web/failures",
  fullyParallel: true,
  // A browser rendering without a GPU takes all cores: a second one slows the segmenter down so much that nothing is
  // gained. A segmentation takes seconds, and many on a busy machine.
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
