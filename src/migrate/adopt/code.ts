// The migrations in code that stand among the SQL files of a folder of our own form.
import { join } from "node:path";
import { isCodeMigration, namesPgsteward } from "../code/code-file.ts";
import { parseCodeMigration } from "../code/code-migration.ts";
import type { MigrationPart } from "../migration-files.ts";
import type { AdoptedMigration, FolderFiles, MigrationScript } from "./folder.ts";

/** Those of a folder, not of folders in it; other tools' code is passed over. */
export function codeMigrationsOf(files: FolderFiles): readonly AdoptedMigration[] {
  return files.names
    .filter((name) => !name.includes("/") && isCodeMigration(name) && namesPgsteward(files.read(name)))
    .map((file): AdoptedMigration => {
      const { version, name, text, up, down, irreversible } = parseCodeMigration(
        join(files.path, file),
        files.read(file),
      );
      const script = ({ sql, code }: MigrationPart): MigrationScript => ({
        file,
        text,
        sql,
        transaction: "file",
        code,
      });
      return {
        version,
        name,
        tool: "dbmate",
        up: script(up),
        down: down === undefined ? undefined : script(down),
        irreversible,
      };
    });
}
