import { defineConfig } from "@playwright/test";

// Debian's Chromium, which runs as root only without its sandbox.
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export default defineConfig({
  testDir: "tests",
  outputDir: "../out/web/failures",
  fullyParallel: true,
  workers: 2,
  // The segmenter takes seconds, and on a busy machine many.
  timeout: 120_000,
  expect: { timeout: 60_000 },
  reporter: "list",
  use: {
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args },
    viewport: { width: 1280, height: 800 },
    trace: "retain-on-failure",
  },
});
