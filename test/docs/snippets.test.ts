// The pages' TypeScript is compiled against the sources. Blocks that say which program they come from are compared with it
// in test/examples.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { markdownBlocks } from "../support/markdown-blocks.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
const NAMES = "docs/guide/coming-from.md"; // its first block declares what the others use
const PAGES = [NAMES, "docs/guide/sessions.md", "docs/guide/backends.md", "README.md"];
const IMPORT = /^import [\s\S]*?;$/gm;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pgsteward-snippets-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "dir");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function snippetsOf(page: string) {
  return markdownBlocks(page).filter(({ language, origin }) => language === "ts" && origin === undefined);
}

/** @param files - text by name */
function compile(name: string, files: Readonly<Record<string, string>>): { status: number | null; output: string } {
  const place = join(folder, name);
  mkdirSync(place);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(place, file), text);
  const sources = (path: string): string[] => [join(root, "src", path)];
  writeFileSync(
    join(place, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        types: ["node"],
        paths: { pgsteward: sources("index.ts"), "pgsteward/session": sources("session/index.ts") },
      },
      include: ["*.ts"],
    }),
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, "-p", place], { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

test("every unmarked TypeScript block of the pages compiles", { timeout: 240_000 }, () => {
  const [names] = snippetsOf(NAMES);
  const blocks = PAGES.flatMap((page) => snippetsOf(page).map((block) => ({ ...block, page }))).slice(1);
  expect(blocks.length).toBeGreaterThan(15);
  const functions = blocks.map(
    ({ page, line, text }, index) =>
      `// ${page}:${line}\nexport async function block${index}(): Promise<void> {\n${text.replaceAll(IMPORT, "")}}\n`,
  );
  const imports = new Set(blocks.flatMap(({ text }) => text.match(IMPORT) ?? []));
  const files = {
    "snippets.ts": `${names?.text ?? ""}\n${functions.join("\n")}`,
    "imports.ts": `${[...imports].join("\n")}\nexport {};\n`,
  };
  expect(compile("all", files)).toEqual({ status: 0, output: "" });
});

test("a block that does not compile is found", { timeout: 240_000 }, () => {
  const [names] = snippetsOf(NAMES);
  const { status, output } = compile("wrong", {
    "snippets.ts": `${names?.text ?? ""}\nawait sessions.begin({ tenant: "x" }, () => 1);\n`,
  });
  expect(status).not.toBe(0);
  expect(output).toContain("tenant");
});
