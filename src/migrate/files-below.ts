// The files in a folder and in those below it, through symbolic links, but not round and round.
import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { InvalidInputError } from "../postgres/errors.ts";
import { withFileFaults } from "../postgres/file-fault.ts";

/**
 * Paths inside the folder, with `/` between the parts, in no order; hidden ones and node_modules are not there.
 *
 * @throws InvalidInputError when a folder cannot be read, or a `.sql` file is a link to one that is not there
 */
export function filesBelow(folder: string): readonly string[] {
  return walk(folder, "", [withFileFaults(folder, () => realpathSync(folder))]);
}

/** @param above - the folders that lead here, as they really are */
function walk(root: string, inside: string, above: readonly string[]): readonly string[] {
  const folder = join(root, inside);
  const entries = withFileFaults(folder, () => readdirSync(folder, { withFileTypes: true }));
  return entries.flatMap((entry): readonly string[] => {
    if (entry.name.startsWith(".") || entry.name === "node_modules") return [];
    const name = inside === "" ? entry.name : `${inside}/${entry.name}`;
    const path = join(root, name);
    const info = entry.isSymbolicLink() ? withFileFaults(path, () => statSync(path, { throwIfNoEntry: false })) : entry;
    if (info === undefined) {
      if (!name.toLowerCase().endsWith(".sql")) return [];
      throw new InvalidInputError(`${path} is a symbolic link to a file that is not there`, {
        hint: "get the file back, or remove the link",
      });
    }
    if (info.isFile()) return [name];
    if (!info.isDirectory()) return [];
    const real = entry.isSymbolicLink()
      ? withFileFaults(path, () => realpathSync(path))
      : join(above.at(-1) ?? folder, entry.name);
    return above.includes(real) ? [] : walk(root, name, [...above, real]);
  });
}
