// One real PostgreSQL 18 per run (test/support/global-setup.ts); every test file clones its own database from a template.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 240_000,
    pool: "forks",
    maxWorkers: 2,
    allowOnly: false,
    // What is polled for comes, on a busy machine too; the limit (1 s when nothing is said) only ends a test that is broken.
    expect: { poll: { timeout: 60_000, interval: 20 } },
  },
});
