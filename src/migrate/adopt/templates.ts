// Templates of Go: `{{ template "views/a.sql" . }}` puts in another file of the folder, `{{.name}}` the value of a variable (tern), and
// so does `{{ index .Options "name" }}` (soda, which pop and Supabase's auth use).
import type { FolderFiles } from "./folder.ts";

const INCLUDED = /\{\{-?\s*template\s+"([^"]+)"[^}]*\}\}/g;
const VARIABLE = /\{\{-?\s*(?:\.(?:\w+\.)*(\w+)|index\s+\.\w+\s+"(\w+)")\s*-?\}\}/g;
/** Files that include each other end here. */
const DEEPEST = 10;

/** Whether a file of a tool other than tern is one. */
export function hasTemplateOptions(text: string): boolean {
  return /\{\{-?\s*index\s+\.\w+\s+"/.test(text);
}

/**
 * The text as the tool sends it; positions are those after it.
 *
 * @param unset - filled with the variables that have no value: each stands for itself, as most are names of roles and schemas
 */
export function templateText(files: FolderFiles, name: string, unset: Set<string>, depth = 0): string {
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
