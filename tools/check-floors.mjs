// Fails when an import in src/ goes up a floor, reaches inside another folder, or comes from a folder without a floor.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { entries, floors } from "./floors.mjs";

const source = fileURLToPath(new URL("../src", import.meta.url));
const specifier = /(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;
const faults = [];
let examined = 0;

for (const name of readdirSync(source, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".ts")) continue;
  examined++;
  const [folder] = name.split(sep);
  const isRootFile = folder === name; // src/index.ts may import every folder's index
  if (!isRootFile && !(folder in floors))
    faults.push(`${name}: the folder "${folder}" has no floor in tools/floors.mjs`);
  for (const [, target] of readFileSync(join(source, name), "utf8").matchAll(specifier)) {
    const path = relative(source, join(source, dirname(name), target)).split(sep);
    if (path[0] === "..") {
      faults.push(`${name}: imports ${target}, which is outside src/`);
      continue;
    }
    if (path[0] === folder) continue;
    if (isRootFile && path.length === 1) continue;
    if (path.length !== 2 || (path[1] !== "index.ts" && !(entries[path[0]] ?? []).includes(path[1])))
      faults.push(`${name}: imports ${target}; other folders are reached through their index.ts only`);
    const allowed = isRootFile ? ["*"] : (floors[folder] ?? []);
    if (!allowed.includes("*") && !allowed.includes(path[0]))
      faults.push(`${name}: ${folder} may not import ${path[0]}`);
  }
}

if (examined === 0) faults.push("no file was examined");
for (const fault of faults) console.error(fault);
console.log(`floors: ${examined} files examined, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
