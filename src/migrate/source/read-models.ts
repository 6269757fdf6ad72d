// Models as a catalog: their DDL, SQL files beside them, and what stays of the present schema, built in a throw-away database.
import { extname } from "node:path";
import { readCatalog, type Catalog } from "../../catalog/index.ts";
import { identifier, InvalidInputError, type Connection, type DatabaseError } from "../../postgres/index.ts";
import { parseSqlFiles, requiredExtensions, type ParsedSqlFile } from "../load-sql.ts";
import { readSqlFiles } from "../sql-files.ts";
import { buildSchema, type BuildStatement } from "./build.ts";
import { keptStatements } from "./kept.ts";
import { loadModules } from "./load-modules.ts";
import { modelExtensions, modelStatements } from "./model-ddl.ts";
import { ModelText } from "./model-text.ts";
import { collectModels, type Models } from "./models.ts";
import { createRoles, rolesOfCatalog } from "./roles.ts";
import type { PreparedSource, ReadSourceOptions, Source } from "./source.ts";

type ModelSource = Extract<Source, { readonly kind: "models" }>;

export async function prepareModels(source: ModelSource, options: ReadSourceOptions): Promise<PreparedSource> {
  const isSql = (path: string): boolean => extname(path).toLowerCase() === ".sql";
  const models = collectModels(await loadModules(source.paths.filter((path) => !isSql(path))));
  const files = await parseSqlFiles(source.paths.filter(isSql).flatMap(readSqlFiles));
  const { present, signal } = options;
  const text = new ModelText(source.casing);
  const statements = allStatements(text, models, files, present);
  const presentExtensions = (present?.extensions ?? []).map(({ name }) => name).filter((name) => name !== "plpgsql");
  return {
    extensions: [...new Set([...modelExtensions(models, text), ...requiredExtensions(files), ...presentExtensions])],
    build: async (database, info) => {
      await using connection = await database.connect();
      await createRoles(connection, [...models.roles, ...rolesOfCatalog(present)], info);
      const { leftOut } = await buildSchema(connection, statements, describeFailure, { signal });
      const catalog = await namedAsPresent(connection, present, signal);
      const notices = leftOut
        .filter(({ subject }) => !isMinor(subject))
        .map(({ subject, reason }) => `${subject} is not kept: ${reason}`);
      return { catalog: withUnknown(catalog, present), notices };
    },
  };
}

function allStatements(
  text: ModelText,
  models: Models,
  files: readonly ParsedSqlFile[],
  present: Catalog | undefined,
): readonly BuildStatement[] {
  const ddl = modelStatements(models, { text, present });
  const kept = present === undefined ? undefined : keptStatements(present, models);
  const beside = files.flatMap(({ name, script }) =>
    script.statements
      .filter(({ kind }) => !NOT_SCHEMA.has(kind))
      .map(({ text, kind }): BuildStatement => ({
        sql: text,
        subject: `a statement of ${name} (${kind})`,
        isOptional: false,
      })),
  );
  return [
    ...ddl.first,
    ...beside,
    ...ddl.presentTables,
    ...(kept?.first ?? []),
    ...(kept?.defaultPrivileges ?? []),
    ...ddl.newTables,
    ...ddl.views,
    ...(kept?.eventTriggers ?? []),
  ];
}

/** Each statement runs on its own, and rows are none of a schema. */
const NOT_SCHEMA: ReadonlySet<string> = new Set([
  "TransactionStmt",
  "CopyStmt",
  "InsertStmt",
  "UpdateStmt",
  "DeleteStmt",
]);

/** Goes with what it is on, or is taken along where it still fits: nothing that anybody has to be told. */
function isMinor(subject: string): boolean {
  return /^(?:settings of the column|comment|privileges|default|sequence owner|row security) /.test(subject);
}

function describeFailure({ subject, sql }: BuildStatement, error: DatabaseError): Error {
  const missing = /(?:type|relation|schema|function|extension) "?[^"]+"? does not exist|is not available/.exec(
    error.message,
  );
  return new InvalidInputError(`${subject} cannot be built: ${error.message}\n  ${sql.replaceAll("\n", "\n  ")}`, {
    cause: error,
    hint:
      missing === null
        ? (error.hint ?? "mend the model, or say it in a .sql file beside the models")
        : "export it from the models too, or make it in a .sql file given beside them: --models src/db/schema.ts functions.sql",
  });
}

/**
 * Reads the schema that was built. Indexes that the server made on partitions got names of its choice: those that they have at
 * present stay.
 */
async function namedAsPresent(
  connection: Connection,
  present: Catalog | undefined,
  signal: AbortSignal | undefined,
): Promise<Catalog> {
  const built = await readCatalog(connection, { signal });
  const renames = built.tables.flatMap((table) => {
    if (table.partitionOf === undefined) return [];
    const old = present?.tables.find(({ schema, name }) => schema === table.schema && name === table.name);
    return table.indexes.flatMap(({ name, partitionOf }) => {
      const wanted =
        partitionOf === undefined ? undefined : old?.indexes.find((index) => index.partitionOf === partitionOf);
      return wanted === undefined || wanted.name === name
        ? []
        : [`ALTER INDEX ${identifier(table.schema, name)} RENAME TO ${identifier(wanted.name)}`];
    });
  });
  if (renames.length === 0) return built;
  for (const sql of renames) await connection.exec(sql, { signal });
  return readCatalog(connection, { signal });
}

/** Kinds of objects that the catalog only names are none that models could speak of. */
function withUnknown(catalog: Catalog, present: Catalog | undefined): Catalog {
  const keyOf = (object: Catalog["unknownObjects"][number]): string => JSON.stringify(object);
  const known = new Set(catalog.unknownObjects.map(keyOf));
  const kept = (present?.unknownObjects ?? []).filter((object) => !known.has(keyOf(object)));
  return kept.length === 0 ? catalog : { ...catalog, unknownObjects: [...catalog.unknownObjects, ...kept] };
}
