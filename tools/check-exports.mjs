// Loads every subpath of the built package by import and by require(), which refuses modules that wait while they load, and plans
// in the same tick, before the parser's WebAssembly can be there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const names = Object.keys(manifest.exports).map((path) => manifest.name + path.slice(1));
const modules = names.map((name) => require(name));

const { planMigration } = modules[names.indexOf(`${manifest.name}/migrate`)];
const lists = `schemas tables views functions enums domains compositeTypes ranges sequences extensions grants statistics eventTriggers
  casts operators operatorFamilies operatorClasses aggregates collations conversions languages transforms accessMethods textSearchParsers
  textSearchDictionaries textSearchTemplates textSearchConfigurations foreignDataWrappers foreignServers userMappings publications
  subscriptions defaultPrivileges baseTypes shellTypes securityLabels settings unknownObjects dependencies`;
const empty = {
  serverVersion: 180_000,
  databaseName: "a",
  ...Object.fromEntries(lists.split(/\s+/).map((name) => [name, []])),
};
const wanted = { ...empty, schemas: [{ name: "shop", owner: "a", comment: undefined, extension: undefined }] };
const { steps } = planMigration(empty, wanted);
if (steps.length === 0) throw new Error("nothing was planned");

for (const [index, name] of names.entries()) {
  const imported = await import(name, name.endsWith(".json") ? { with: { type: "json" } } : {});
  const missing = Object.keys(imported).filter((key) => key !== "default" && !(key in modules[index]));
  if (missing.length > 0) throw new Error(`require("${name}") lacks ${missing.join(", ")}`);
}
console.log(`exports: ${names.length} loaded by import and by require()`);
