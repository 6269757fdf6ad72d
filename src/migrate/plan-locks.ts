// The locks of a plan's statements on relations that were there before: those on tables as measured in locks.ts, spread over partitions,
// and those on views, indexes and sequences.
import type { Catalog } from "../catalog/index.ts";
import { identifier } from "../postgres/index.ts";
import { applyAction } from "./apply-statement.ts";
import { BatchState, type TableState } from "./batch-state.ts";
import { lockEffects, LOCK_MODES, type LockMode } from "./locks.ts";
import { parseStatement } from "./parse-statement.ts";
import { PROOF_SUFFIX } from "./rules/partition.ts";
import {
  actionsOf,
  childOf,
  droppedNames,
  flagOf,
  listOf,
  nameOfParts,
  relationName,
  stringsOf,
  textOf,
  type Action,
  type Name,
  type Node,
} from "./syntax.ts";

/** What a statement does to one relation while it holds a lock on it. */
export interface StepLock {
  /** As SQL, e.g. `"shop"."orders"`. */
  readonly relation: string;
  readonly mode: LockMode;
  /** The table and all its indexes are written anew. */
  readonly rewrite: boolean;
  /** The whole table is read: a check, an index that is built. */
  readonly scan: boolean;
}

/** Statements that lock no relation that others use. */
const LOCKS_NOTHING =
  /^(?:CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|SCHEMA|TYPE|EXTENSION)|GRANT|REVOKE|SET |SELECT )\b/;

/** Reads statements in the order they run, and keeps what is known of the schema up to date with each. */
export class PlanLocks {
  readonly #state: BatchState;
  readonly #version: number;
  /** Tables with a column of each domain. */
  readonly #domainUses = new Map<string, string[]>();
  readonly #statisticsOf = new Map<string, string>();
  /** Relations that were there before, as SQL. */
  readonly #existing = new Set<string>();

  constructor(before: Catalog, after: Catalog, serverVersion: number) {
    this.#state = new BatchState(before);
    for (const { name, volatility } of after.functions) this.#state.noteFunction(name, volatility);
    this.#version = Math.floor(serverVersion / 10_000);
    for (const { schema, name } of [...before.tables, ...before.views, ...before.sequences])
      this.#existing.add(identifier(schema, name));
    for (const { schema, indexes } of [...before.tables, ...before.views])
      for (const { name } of indexes) this.#existing.add(identifier(schema, name));
    for (const { schema, name, table } of before.statistics)
      this.#statisticsOf.set(identifier(schema, name), identifier(table.schema, table.name));
    for (const { schema, name } of before.domains) this.#domainUses.set(identifier(schema, name), []);
    if (this.#domainUses.size === 0) return;
    for (const { schema, name, columns } of before.tables) {
      for (const { typeName } of columns)
        this.#domainUses.get(identifier(typeName.schema, typeName.name))?.push(identifier(schema, name));
    }
  }

  /** The strongest lock on each relation; none when nothing that others use is locked. */
  of(sql: string): readonly StepLock[] {
    if (this.#existing.size === 0 || LOCKS_NOTHING.test(sql)) return [];
    const locks: StepLock[] = [];
    const statement = parseStatement(sql);
    const isOnly = childOf(statement.node, "relation")?.["inh"] !== true;
    for (const action of actionsOf(statement)) {
      const taken = [...this.#tableLocks(action, isOnly), ...this.#otherLocks(action)];
      locks.push(...taken.filter(({ relation }) => this.#existing.has(relation)));
      applyAction(this.#state, action);
      this.#follow(action);
    }
    return merged(locks);
  }

  #tableLocks(action: Action, isOnly: boolean): readonly StepLock[] {
    const effects = lockEffects(action, this.#state, this.#version);
    return effects.flatMap(({ table, mode, rewrites, scans }) => {
      if (table.isNew) return [];
      // A partitioned table alone has no rows.
      const isProved = action.kind === "AT_AttachPartition" && hasProof(table);
      const scan = scans && !isProved && !(isOnly && table.isPartitioned);
      const lock = { relation: identifier(table.schema, table.name), mode, rewrite: rewrites, scan };
      return !isOnly && reachesChildren(action) ? [lock, ...this.#childLocks(table, lock)] : [lock];
    });
  }

  /** The same lock on partitions and heirs, at any depth. */
  #childLocks(parent: TableState, lock: StepLock): readonly StepLock[] {
    return [...parent.partitions, ...parent.heirs].flatMap((name) => {
      const table = this.#state.find(name);
      if (table === undefined || table.isNew) return [];
      return [{ ...lock, relation: identifier(table.schema, table.name) }, ...this.#childLocks(table, lock)];
    });
  }

  #otherLocks(action: Action): readonly StepLock[] {
    const { kind, node, table } = action;
    const on = (name: Name | undefined, mode: LockMode, cost: "scan" | "none" = "none"): StepLock[] =>
      name === undefined ? [] : [{ relation: sqlName(name), mode, rewrite: false, scan: cost === "scan" }];
    switch (kind) {
      case "ViewStmt":
        return on(relationName(childOf(node, "view")), "ACCESS EXCLUSIVE");
      case "AlterSeqStmt":
        return on(relationName(childOf(node, "sequence")), "SHARE ROW EXCLUSIVE");
      case "CreateStatsStmt":
        return listOf(node, "relations").flatMap(({ node: relation }) =>
          on(relationName(relation), "SHARE UPDATE EXCLUSIVE"),
        );
      case "CommentStmt":
        return on(commentedRelation(node), "SHARE UPDATE EXCLUSIVE");
      case "RenameStmt":
        return on(table, node["renameType"] === "OBJECT_INDEX" ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE");
      case "AlterObjectSchemaStmt":
        return on(table, "ACCESS EXCLUSIVE");
      case "AlterDomainStmt":
        return this.#domainLocks(node);
      case "DropStmt":
        return this.#dropLocks(node);
      case "CreateStmt":
        return childOf(node, "partbound") === undefined
          ? listOf(node, "inhRelations").flatMap(({ node: parent }) =>
              on(relationName(parent), "SHARE UPDATE EXCLUSIVE"),
            )
          : this.#defaultPartition(relationName(listOf(node, "inhRelations")[0]?.node)).flatMap((name) =>
              on(name, "ACCESS EXCLUSIVE", "scan"),
            );
      case "AT_AddInherit":
      case "AT_DropInherit":
        return on(relationName(node), "SHARE UPDATE EXCLUSIVE");
      case "AT_DetachPartition": {
        // What the default partition may hold changes with every other; the parts of a partition go with it.
        const child = relationName(childOf(node, "name"));
        const parts = child === undefined ? undefined : this.#state.find(child);
        return [
          ...this.#defaultPartition(table).flatMap((name) => on(name, "ACCESS EXCLUSIVE")),
          ...(parts === undefined ? [] : this.#childLocks(parts, EXCLUSIVE)),
        ];
      }
      case "AT_AttachPartition":
        // Rows of the default partition that belong into the new one would be found by reading it.
        return this.#defaultPartition(table).flatMap((name) =>
          on(name, "ACCESS EXCLUSIVE", hasProof(this.#state.table(name)) ? "none" : "scan"),
        );
      case "OBJECT_INDEX AT_AttachPartition":
        return [...on(table, "SHARE UPDATE EXCLUSIVE"), ...on(relationName(childOf(node, "name")), "ACCESS EXCLUSIVE")];
      default:
        return kind.startsWith("OBJECT_") ? on(table, lightOnOthers(kind)) : [];
    }
  }

  #dropLocks(node: Node): readonly StepLock[] {
    const names = droppedNames(node);
    switch (node["removeType"]) {
      case "OBJECT_VIEW":
      case "OBJECT_MATVIEW":
      case "OBJECT_SEQUENCE":
        return names.map((name) => ({ ...EXCLUSIVE, relation: sqlName(name) }));
      case "OBJECT_STATISTIC_EXT":
        return names.flatMap((name) => {
          const relation = this.#statisticsOf.get(sqlName(name));
          return relation === undefined ? [] : [{ ...EXCLUSIVE, relation, mode: "SHARE UPDATE EXCLUSIVE" as const }];
        });
      case "OBJECT_INDEX":
        return names.flatMap(({ name }) => {
          const table = this.#state.tableOfIndex(name);
          return table?.isPartitioned === true ? this.#childLocks(table, EXCLUSIVE) : [];
        });
      case "OBJECT_TRIGGER":
        return listOf(node, "objects").flatMap(({ node: item }) => {
          const table = this.#state.find(nameOfParts(stringsOf(item, "items").slice(0, -1)));
          return table?.isPartitioned === true ? this.#childLocks(table, EXCLUSIVE) : [];
        });
      default:
        return [];
    }
  }

  #defaultPartition(parent: Name | undefined): readonly Name[] {
    const table = parent === undefined ? undefined : this.#state.find(parent);
    if (table?.hasDefaultPartition !== true) return [];
    return table.partitions.filter((name) => this.#state.find(name)?.isDefaultPartition === true);
  }

  /** A constraint of a domain is checked in every table that uses it; one that is NOT VALID is not. */
  #domainLocks(node: Node): readonly StepLock[] {
    const isChecked =
      ["C", "V", "O"].includes(textOf(node, "subtype") ?? "") && !flagOf(childOf(node, "def"), "skip_validation");
    if (!isChecked) return [];
    const type = sqlName(nameOfParts(stringsOf(node, "typeName")));
    return (this.#domainUses.get(type) ?? []).map((relation) => ({
      relation,
      mode: "SHARE",
      rewrite: false,
      scan: true,
    }));
  }

  /** Names that go, or are given to something that others use. */
  #follow({ kind, node, table }: Action): void {
    const from = textOf(node, "subname");
    if (node["renameType"] === "OBJECT_SCHEMA" && from !== undefined) {
      const start = `${identifier(from)}.`;
      const to = identifier(textOf(node, "newname") ?? from);
      for (const relation of [...this.#existing].filter((other) => other.startsWith(start))) {
        this.#existing.delete(relation);
        this.#existing.add(`${to}.${relation.slice(start.length)}`);
      }
    }
    const isRelation = RELATIONS.has(node["removeType"] ?? node["renameType"] ?? node["objectType"]);
    if (kind === "DropStmt" && isRelation) for (const name of droppedNames(node)) this.#existing.delete(sqlName(name));
    if (!isRelation || table === undefined) return;
    const old = sqlName(table);
    if (!this.#existing.delete(old)) return;
    const schema = kind === "AlterObjectSchemaStmt" ? textOf(node, "newschema") : table.schema;
    const name = kind === "RenameStmt" ? (textOf(node, "newname") ?? table.name) : table.name;
    this.#existing.add(sqlName({ schema, name }));
  }
}

/** Kinds of objects whose names are those of relations. */
const RELATIONS: ReadonlySet<unknown> = new Set([
  "OBJECT_TABLE",
  "OBJECT_FOREIGN_TABLE",
  "OBJECT_VIEW",
  "OBJECT_MATVIEW",
  "OBJECT_INDEX",
  "OBJECT_SEQUENCE",
]);

/** Whether a check says already what ATTACH would read the table for. */
function hasProof({ constraints }: TableState): boolean {
  return [...constraints].some(([name, { isValidated }]) => isValidated && name.endsWith(PROOF_SUFFIX));
}

function sqlName({ schema, name }: Name): string {
  return identifier(schema ?? "public", name);
}

/** The strongest lock on each relation, with what any of them costs. */
function merged(locks: readonly StepLock[]): readonly StepLock[] {
  const found = new Map<string, StepLock>();
  for (const lock of locks) {
    const other = found.get(lock.relation) ?? lock;
    const isStronger = LOCK_MODES.indexOf(lock.mode) > LOCK_MODES.indexOf(other.mode);
    found.set(lock.relation, {
      relation: lock.relation,
      mode: isStronger ? lock.mode : other.mode,
      rewrite: lock.rewrite || other.rewrite,
      scan: lock.scan || other.scan,
    });
  }
  return [...found.values()];
}

const EXCLUSIVE: StepLock = { relation: "", mode: "ACCESS EXCLUSIVE", rewrite: false, scan: false };
const LIGHT = /AT_(?:(?:Set|Reset)(?:Rel)?Options|SetStatistics|ClusterOn|DropCluster)$/;

/** Of ALTER INDEX, ALTER VIEW, ALTER MATERIALIZED VIEW, ALTER SEQUENCE. */
function lightOnOthers(kind: string): LockMode {
  return kind.startsWith("OBJECT_INDEX") || LIGHT.test(kind) ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE";
}

/** Changes that go down to partitions and heirs; ONLY keeps them from it. */
function reachesChildren({ kind, node }: Action): boolean {
  const isPassedDown =
    kind.startsWith("AT_") && !/^AT_(?:Attach|Detach)Partition|^AT_(?:Set|Reset)RelOptions/.test(kind);
  return isPassedDown || kind === "IndexStmt" || kind === "CreateTrigStmt" || node["renameType"] === "OBJECT_COLUMN";
}

/** The relation a COMMENT is about, or is about a part of. */
function commentedRelation(node: Node): Name | undefined {
  const parts = stringsOf(childOf(node, "object"), "items");
  switch (node["objtype"]) {
    case "OBJECT_TABLE":
    case "OBJECT_FOREIGN_TABLE":
    case "OBJECT_VIEW":
    case "OBJECT_MATVIEW":
    case "OBJECT_SEQUENCE":
    case "OBJECT_INDEX":
      return nameOfParts(parts);
    case "OBJECT_COLUMN":
    case "OBJECT_TABCONSTRAINT":
    case "OBJECT_TRIGGER":
    case "OBJECT_POLICY":
    case "OBJECT_RULE":
      return nameOfParts(parts.slice(0, -1));
    default:
      return undefined;
  }
}
