// tern's templates: `{{ template "views/a.sql" . }}` puts in another file of the folder, `{{.name}}` the value of a variable.
import type { FolderFiles } from "./folder.ts";

const INCLUDED = /\{\{-?\s*template\s+"([^"]+)"[^}]*\}\}/g;
const VARIABLE = /\{\{-?\s*\.(?:\w+\.)*(\w+)\s*-?\}\}/g;
/** Files that include each other end here. */
const DEEPEST = 10;

/**
 * The text as tern sends it; positions are those after it.
 *
 * @param unset - filled with the variables that have no value: each stands for itself, as most are names of roles and schemas
 */
export function ternText(files: FolderFiles, name: string, unset: Set<string>, depth = 0): string {
  return files
    .read(name)
    .replaceAll(INCLUDED, (form, included: string) =>
      depth < DEEPEST && files.names.includes(included) ? ternText(files, included, unset, depth + 1) : form,
    )
    .replaceAll(VARIABLE, (_, variable: string) => {
      unset.add(variable);
      return variable;
    });
}
