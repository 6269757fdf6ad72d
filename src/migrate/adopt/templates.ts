// Templates of Go: `{{ template "views/a.sql" . }}` puts in another file of the folder, `{{.name}}` the value of a variable (tern), and
// so does `{{ index .Options "name" }}` (soda, which pop and Supabase's auth use). goose puts in `${NAME}` where it is told to, and psql
// the file that `\ir` names.
import { dirname, posix } from "node:path";
import type { FolderFiles } from "./folder.ts";
import type { MigrationTool } from "./tools.ts";

const INCLUDED = /\{\{-?\s*template\s+"([^"]+)"[^}]*\}\}/g;
const VARIABLE = /\{\{-?\s*(?:\.(?:\w+\.)*(\w+)|index\s+\.\w+\s+"(\w+)")\s*-?\}\}/g;
/** Files that include each other end here. */
const DEEPEST = 10;

/** `$NAME`, `${NAME}`, `${NAME:-otherwise}`; `$body$` is a quote of PostgreSQL. */
const ENVIRONMENT = /\$(?:\{(\w+)(?::?-([^}\n]*))?\}|([A-Za-z_]\w*)(?![\w$]))/g;
const ENVIRONMENT_MARK = /^--\s*\+goose\s+envsub\s+(on|off)\b/i;

/** @see templateText */
export function textWithValues(files: FolderFiles, tool: MigrationTool, name: string, unset: Set<string>): string {
  const text = files.read(name);
  if (tool === "goose") return withEnvironment(files, text, unset);
  if (tool === "plain" || tool === "sqitch") return withIncluded(files, name);
  const isTemplate = tool === "tern" || /\{\{-?\s*index\s+\.\w+\s+"/.test(text);
  return isTemplate ? templateText(files, name, unset) : text;
}

const PSQL_INCLUDE = /^\\(ir?|include(?:_relative)?)[ \t]+'?([^'\s]+)'?[ \t;]*$/gm;

/** The files of psql's `\i` and `\ir` in their place; one that is not there is told when the SQL is read. */
function withIncluded(files: FolderFiles, name: string, depth = 0): string {
  return files.read(name).replaceAll(PSQL_INCLUDE, (line, command: string, path: string) => {
    const beside = posix.normalize(posix.join(dirname(name), path));
    // psql begins where it was started, mostly above the folder.
    const below = files.names.find((file) => file === posix.normalize(path) || path.endsWith(`/${file}`));
    const [first, second] = command === "ir" || command === "include_relative" ? [beside, below] : [below, beside];
    const found = [first, second].find((file) => file !== undefined && files.has(file));
    return found === undefined || depth >= DEEPEST ? line : withIncluded(files, found, depth + 1);
  });
}

function withEnvironment(files: FolderFiles, text: string, unset: Set<string>): string {
  let isOn = false;
  const lines = text.split("\n").map((line) => {
    const mark = ENVIRONMENT_MARK.exec(line)?.[1]?.toLowerCase();
    if (mark !== undefined) isOn = mark === "on";
    if (!isOn) return line;
    return line.replaceAll(ENVIRONMENT, (_, braced?: string, otherwise?: string, bare?: string) => {
      const variable = braced ?? bare ?? "";
      const value = files.variable(variable) ?? otherwise;
      if (value === undefined) unset.add(variable);
      return value ?? variable;
    });
  });
  return lines.join("\n");
}

/**
 * The text as the tool sends it; positions are those after it.
 *
 * @param unset - filled with the variables that have no value: each stands for itself, as most are names of roles and schemas
 */
function templateText(files: FolderFiles, name: string, unset: Set<string>, depth = 0): string {
  return files
    .read(name)
    .replaceAll(INCLUDED, (form, included: string) =>
      depth < DEEPEST && files.names.includes(included) ? templateText(files, included, unset, depth + 1) : form,
    )
    .replaceAll(VARIABLE, (_, field: string | undefined, option: string | undefined) => {
      const variable = field ?? option ?? "";
      unset.add(variable);
      return variable;
    });
}
