// Templates of Go: `{{ template "views/a.sql" . }}` puts in another file of the folder, `{{.name}}` the value of a variable (tern), and
// so does `{{ index .Options "name" }}` (soda, which pop and Supabase's auth use). goose puts in `${NAME}` where it is told to.
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
  const isTemplate = tool === "tern" || /\{\{-?\s*index\s+\.\w+\s+"/.test(text);
  return isTemplate ? templateText(files, name, unset) : text;
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
