// A linter in an editor is waited for: what its command loads at its start is kept small.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Packages that a source file needs at its start, with all that it imports: not types, not `import()`. */
function packagesOf(entry: string): ReadonlySet<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, clause = "", target = ""] of text.matchAll(/^(?:import|export)\b([^;]*?)from "([^"]+)";/gm)) {
      if (/^\s*type\b/.test(clause)) continue;
      if (target.startsWith(".")) visit(join(dirname(file), target));
      else if (!target.startsWith("node:")) packages.add(target);
    }
  };
  visit(entry);
  return packages;
}

test("pgsteward lint starts with commander alone: no parser, driver, PGlite or zod", () => {
  const source = (path: string): string => fileURLToPath(new URL(`../../src/cli/${path}`, import.meta.url));
  expect([...packagesOf(source("main.ts"))]).toEqual(["commander"]);
  expect([...packagesOf(source("commands/lint.ts"))]).toEqual(["commander"]);
  expect(packagesOf(source("context.ts"))).toContain("pg");
});
