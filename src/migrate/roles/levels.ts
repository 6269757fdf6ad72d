// What a reader and a writer are to have on each object, and what they may have without harm. Least privilege is written here only.
import type { Securable } from "./securables.ts";

/** `reader` looks, `writer` also changes rows. */
export type AccessLevel = "reader" | "writer";

const READ = ["SELECT"];
const WRITE = ["DELETE", "INSERT", "SELECT", "UPDATE"];
const NOTHING: readonly string[] = [];

/**
 * What a role of this level is granted, sorted.
 *
 * Not among it: TRUNCATE, which row security does not look at, REFERENCES and TRIGGER, with which others' rows are found out and others'
 * statements followed, and MAINTAIN (PostgreSQL 17), which takes locks.
 */
export function wantedPrivileges(level: AccessLevel, securable: Securable): readonly string[] {
  const { kind, nature, isNeeded } = securable;
  if (nature === "record") return NOTHING;
  switch (kind) {
    case "schema":
      return ["USAGE"];
    case "table":
      if (nature === "partition" || nature === "exposed partition") return NOTHING;
      return level === "reader" || nature === "materialized view" ? READ : WRITE;
    case "sequence":
      if (nature === "identity") return NOTHING;
      return level === "reader" ? READ : ["USAGE"];
    case "function": {
      if (nature === "trigger") return NOTHING;
      const isWriters = level === "writer" && nature === "plain";
      return isWriters || (isNeeded && !isOpenToAll(securable)) ? ["EXECUTE"] : NOTHING;
    }
    case "type":
      return isOpenToAll(securable) ? NOTHING : ["USAGE"];
  }
}

/** What a role of this level may have on it: nothing of it is a finding. What a function does that runs as its owner is looked at apart. */
export function allowedPrivileges(level: AccessLevel | "public", { kind, nature }: Securable): readonly string[] {
  switch (kind) {
    case "schema":
    case "type":
      return ["USAGE"];
    case "function":
      return ["EXECUTE"];
    case "sequence":
      if (level === "public" || nature === "record") return NOTHING;
      return level === "reader" ? READ : ["SELECT", "USAGE"];
    case "table":
      if (level === "public" || nature === "record" || nature === "exposed partition") return NOTHING;
      return level === "reader" ? READ : WRITE;
  }
}

export type DefaultKind = "tables" | "sequences" | "functions" | "types";

/** What a role of this level gets on what is made later. */
export function wantedDefaults(level: AccessLevel): Readonly<Record<DefaultKind, readonly string[]>> {
  return level === "reader"
    ? { tables: READ, sequences: READ, functions: NOTHING, types: ["USAGE"] }
    : { tables: WRITE, sequences: ["USAGE"], functions: ["EXECUTE"], types: ["USAGE"] };
}

/** The same for what it may get; by the kind of object as the catalog has it. */
export function allowedDefaults(level: AccessLevel | "public", of: string): readonly string[] {
  switch (of) {
    case "tables":
      return level === "public" ? NOTHING : level === "reader" ? READ : WRITE;
    case "sequences":
      return level === "public" ? NOTHING : level === "reader" ? READ : ["SELECT", "USAGE"];
    case "functions":
      return ["EXECUTE"];
    case "types":
    case "schemas":
      return ["USAGE"];
    default:
      return NOTHING;
  }
}

function isOpenToAll({ grants }: Securable): boolean {
  return grants.some(({ grantee, privileges }) => grantee === "public" && privileges.length > 0);
}
