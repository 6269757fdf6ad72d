// Compiles src/ to dist/ with plain tsc, then makes the declarations readable for every editor:
// tsc leaves `.ts` specifiers in .d.ts files (TypeScript issue 61037), so they are rewritten to `.js` here.
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });

const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const compiled = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: "inherit" });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

const relativeTsSpecifier = /((?:from|import)\s*\(?\s*["'])(\.{1,2}\/[^"']+)\.ts(["'])/g;
for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  const file = join(dist, name);
  if (!name.endsWith(".d.ts") || !statSync(file).isFile()) continue;
  const text = readFileSync(file, "utf8");
  const rewritten = text.replace(relativeTsSpecifier, "$1$2.js$3");
  if (rewritten !== text) writeFileSync(file, rewritten);
}
chmodSync(join(dist, "cli", "main.js"), 0o755);
