import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as errors from "../../src/postgres/errors.ts";
import * as main from "../../src/index.ts";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  exports: Record<string, { types: string; default: string } | string>;
  engines: { node: string };
};

test("every error class is a public name of the package", () => {
  const classes = Object.entries(errors).filter(([, value]) => typeof value === "function");
  const missing = classes
    .filter(([name, value]) => (main as Record<string, unknown>)[name] !== value)
    .map(([name]) => name);
  expect(missing).toEqual([]);
});

test("every subpath is a folder with an index", async () => {
  const subpaths = Object.keys(manifest.exports).filter((path) => path !== "." && path !== "./package.json");
  expect(subpaths.length).toBeGreaterThan(3);
  for (const path of subpaths) {
    const folder = (await import(`../../src/${path.slice(2)}/index.ts`)) as Record<string, unknown>;
    expect(Object.keys(folder)).not.toEqual([]);
    expect(manifest.exports[path]).toEqual({
      types: `./dist/${path.slice(2)}/index.d.ts`,
      default: `./dist/${path.slice(2)}/index.js`,
    });
  }
});
