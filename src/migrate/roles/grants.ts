// The grants that are missing: to reader and writer on what exists, to the migrator on its schemas and on the runner's own tables.
import { identifier, literal } from "../../postgres/index.ts";
import { DEFAULT_HISTORY } from "../run/run-options.ts";
import { wantedPrivileges, type AccessLevel } from "./levels.ts";
import { block } from "./role-statements.ts";
import type { Securable } from "./securables.ts";

export interface ThereAndBack {
  readonly up: string;
  readonly down: string;
}

export interface MissingGrant {
  readonly securable: Securable;
  readonly privileges: readonly string[];
  /** Whether the role has others on it, or some on its columns: less may be what somebody chose. */
  readonly widens: boolean;
}

export function missingGrants(
  securables: readonly Securable[],
  level: AccessLevel,
  grantee: string,
): readonly MissingGrant[] {
  return securables.flatMap((securable): readonly MissingGrant[] => {
    if (securable.owner === grantee) return [];
    const held = securable.grants.filter((each) => each.grantee === grantee).flatMap(({ privileges }) => privileges);
    const missing = wantedPrivileges(level, securable).filter((privilege) => !held.includes(privilege));
    if (missing.length === 0) return [];
    const onColumns = securable.columnGrants.some((each) => each.grantee === grantee);
    return [{ securable, privileges: missing, widens: securable.kind === "table" && (held.length > 0 || onColumns) }];
  });
}

/** The migrator makes things in the schemas and looks into them. */
export function missingOnSchemas(securables: readonly Securable[], migrator: string): readonly MissingGrant[] {
  return securables.flatMap((securable): readonly MissingGrant[] => {
    if (securable.kind !== "schema" || securable.owner === migrator) return [];
    const held = securable.grants.filter((each) => each.grantee === migrator).flatMap(({ privileges }) => privileges);
    const missing = ["CREATE", "USAGE"].filter((privilege) => !held.includes(privilege));
    return missing.length === 0 ? [] : [{ securable, privileges: missing, widens: false }];
  });
}

/** One statement for all objects of a kind and schema that get the same. */
export function grantStatements(missing: readonly MissingGrant[], grantee: string): readonly ThereAndBack[] {
  const groups = new Map<string, MissingGrant[]>();
  for (const each of missing) {
    const { word, schema, kind } = each.securable;
    const key = JSON.stringify([word, kind === "schema" ? "" : schema, each.privileges]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return [...groups.values()].flatMap((group): readonly ThereAndBack[] => {
    const [first] = group;
    if (first === undefined) return [];
    const names = group.map(({ securable }) => securable.sqlName);
    const list = names.length === 1 ? ` ${names.join("")} ` : `\n  ${names.join(",\n  ")}\n`;
    const on = `${first.privileges.join(", ")} ON ${first.securable.word}${list}`;
    return [{ up: `GRANT ${on}TO ${identifier(grantee)}`, down: `REVOKE ${on}FROM ${identifier(grantee)}` }];
  });
}

/** Where the runner keeps its history, and backfills how far they are. */
const RUNNER_SCHEMA = DEFAULT_HISTORY.schema;
const RUNNER_PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/**
 * What the migrator needs to run migrations: the runner's own tables, where they are. A throw-away database, in which the file is tried,
 * has none, and a database that the runner has not seen yet gets its history before the file runs.
 */
export function runnerGrants(securables: readonly Securable[], migrator: string): readonly ThereAndBack[] {
  const lacks = ({ grants, owner }: Securable, privileges: readonly string[]): boolean => {
    const held = grants.filter((each) => each.grantee === migrator).flatMap((each) => each.privileges);
    return owner !== migrator && privileges.some((privilege) => !held.includes(privilege));
  };
  const own = securables.filter(({ schema }) => schema === RUNNER_SCHEMA);
  const tables = own.filter(({ kind, nature }) => kind === "table" && nature === "record");
  const missing =
    tables.length === 0
      ? [identifier(RUNNER_SCHEMA, DEFAULT_HISTORY.table)]
      : tables.filter((table) => lacks(table, RUNNER_PRIVILEGES)).map(({ sqlName }) => sqlName);
  const schema = own.find(({ kind }) => kind === "schema");
  const lacksSchema = schema === undefined || lacks(schema, ["CREATE", "USAGE"]);
  if (missing.length === 0 && !lacksSchema) return [];
  const text = (verb: "GRANT" | "REVOKE", to: "TO" | "FROM"): string =>
    block(
      [
        "BEGIN",
        "  -- The runner makes these by itself: a throw-away database, where this file is tried, has none.",
        ...missing.flatMap((name) => [
          `  IF EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    WHERE c.oid = pg_catalog.to_regclass(${literal(name)}) AND pg_catalog.pg_get_userbyid(c.relowner) <> ${literal(migrator)}
  ) THEN`,
          `    ${verb} ${RUNNER_PRIVILEGES.join(", ")} ON TABLE ${name} ${to} ${identifier(migrator)};`,
          "  END IF;",
        ]),
        ...(lacksSchema
          ? [
              `  IF EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = ${literal(RUNNER_SCHEMA)} AND pg_catalog.pg_get_userbyid(n.nspowner) <> ${literal(migrator)}
  ) THEN`,
              `    ${verb} CREATE, USAGE ON SCHEMA ${identifier(RUNNER_SCHEMA)} ${to} ${identifier(migrator)};`,
              "  END IF;",
            ]
          : []),
        "END",
      ].join("\n"),
    );
  return [{ up: text("GRANT", "TO"), down: text("REVOKE", "FROM") }];
}

/** Whether the runner has been in this database. */
export function hasRunner(securables: readonly Securable[]): boolean {
  return securables.some(
    ({ kind, schema, nature }) => kind === "table" && schema === RUNNER_SCHEMA && nature === "record",
  );
}
