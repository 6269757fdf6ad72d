// Models beside a schema in which something gets another name: what they are silent about is looked up under the new names.
import { printCatalog, readCatalog, type Catalog } from "../../catalog/index.ts";
import type { Plan } from "../plan.ts";
import { createRoles, rolesOfCatalog } from "./roles.ts";
import { readSource, withFittingShadow, type ReadSourceOptions, type Source, type SourceRead } from "./source.ts";

/**
 * Reads models again after a plan told what is renamed: functions, triggers and grants on a table stay on it under its new name.
 *
 * @param present - the schema before
 * @param plan - from `present` to the models as they were read first
 */
export async function readRenamed(
  models: Source,
  present: Catalog,
  plan: Plan,
  options: ReadSourceOptions = {},
): Promise<SourceRead> {
  const renames = plan.steps.filter(({ kind }) => kind === "rename");
  const extensions = present.extensions.map(({ name }) => name).filter((name) => name !== "plpgsql");
  const renamed = await withFittingShadow(extensions, options, async (database, info) => {
    await using connection = await database.connect();
    await createRoles(connection, rolesOfCatalog(present), info);
    await connection.exec(printCatalog(present), { signal: options.signal });
    for (const { sql } of renames) await connection.exec(sql, { signal: options.signal });
    return await readCatalog(connection, { signal: options.signal });
  });
  return readSource(models, { ...options, present: renamed });
}
