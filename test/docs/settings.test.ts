import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VARIABLES } from "../../src/config/index.ts";

test("docs/configuration.md lists every setting with its variables", () => {
  const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
  for (const { key, names } of VARIABLES) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${key}\` |`));
    for (const name of names) expect(row).toContain(`\`${name}\``);
  }
});
