// The catalog: what pg_catalog says exists, read in one snapshot. Types only. Everything is plain data (JSON-safe), in the
// order of names, so that two catalogs can be compared and one can be stored.

import type { Aggregate } from "./aggregate.ts";
import type { EventTrigger, Extension, OtherKind, OtherLists } from "./model-others.ts";
import type { CompositeType, Domain, Enum, RangeType } from "./model-types.ts";

export type { EventTrigger, Extension, MemberGrant } from "./model-others.ts";
export type { CompositeType, Domain, Enum, RangeType } from "./model-types.ts";

/** One reading of a database. Lists are sorted by schema, then name; names are as in pg_catalog, never quoted. */
export interface Catalog extends OtherLists {
  /** `server_version_num`, e.g. 180004. */
  readonly serverVersion: number;
  readonly databaseName: string;
  /** Schemas that were read; system schemas are never among them. */
  readonly schemas: readonly Schema[];
  readonly tables: readonly Table[];
  readonly views: readonly View[];
  readonly functions: readonly Function[];
  readonly enums: readonly Enum[];
  readonly domains: readonly Domain[];
  readonly compositeTypes: readonly CompositeType[];
  readonly ranges: readonly RangeType[];
  readonly sequences: readonly Sequence[];
  readonly extensions: readonly Extension[];
  readonly grants: readonly Grant[];
  /** Extended statistics (`CREATE STATISTICS`). */
  readonly statistics: readonly Statistics[];
  readonly eventTriggers: readonly EventTrigger[];
  /** What exists beside all this, e.g. a kind of object that a newer server has: named, never dropped in silence. */
  readonly unknownObjects: readonly UnknownObject[];
  /** Which object needs which, as the server keeps it (`pg_depend`): what is created after, and dropped before, what. */
  readonly dependencies: readonly Dependency[];
}

/** `from` cannot exist without `to`. */
export interface Dependency {
  readonly from: ObjectReference;
  readonly to: ObjectReference;
}

export interface ObjectReference {
  readonly kind:
    | "table"
    | "view"
    | "sequence"
    | "type"
    | "function"
    | "column"
    | "default"
    | "constraint"
    | "domain constraint"
    | "index"
    | "trigger"
    | "policy"
    | "rule"
    | "statistics"
    | "event trigger"
    | "extension"
    | "publication table"
    | "publication schema"
    | OtherKind;
  readonly schema: string | undefined;
  /** For what belongs to a table or a domain: the name of that. */
  readonly name: string;
  /** Column, constraint, index, trigger, policy, rule; for a function its identity arguments. */
  readonly part: string | undefined;
}

/** An object that an extension brought along (`pg_depend.deptype = 'e'`) carries the extension's name. */
export interface ObjectBase {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly comment: string | undefined;
  readonly extension: string | undefined;
}

export interface Schema {
  readonly name: string;
  readonly owner: string;
  readonly comment: string | undefined;
  readonly extension: string | undefined;
}

export interface Table extends ObjectBase {
  /** `pg_class.relkind` r, p, f. */
  readonly kind: "table" | "partitioned" | "foreign";
  readonly persistence: "permanent" | "unlogged" | "temporary";
  /** For a partitioned table: `pg_get_partkeydef`, e.g. `RANGE (created_at)`. */
  readonly partitionKey: string | undefined;
  /** For a partition: its parent and `pg_get_expr(relpartbound)`, e.g. `FOR VALUES FROM (…) TO (…)` or `DEFAULT`. */
  readonly partitionOf:
    | {
        readonly schema: string;
        readonly name: string;
        readonly bound: string;
        /** A DETACH … CONCURRENTLY was interrupted: finish it with DETACH PARTITION … FINALIZE. */
        readonly isDetachPending: boolean;
      }
    | undefined;
  /** Parents by inheritance that is not partitioning. */
  readonly inherits: readonly { readonly schema: string; readonly name: string }[];
  readonly rowSecurity: { readonly enabled: boolean; readonly forced: boolean };
  /** Heap with TOAST and free-space map, without indexes, in bytes; 0 for a partitioned table; `undefined` when it is gone meanwhile. */
  readonly sizeBytes: number | undefined;
  /** Heap, TOAST and indexes, in bytes. */
  readonly totalBytes: number | undefined;
  /** `reltuples`; `undefined` for a table never analyzed. */
  readonly rowEstimate: number | undefined;
  /** e.g. `fillfactor=70`; those of the TOAST table as `toast.autovacuum_enabled=false`. */
  readonly storageParameters: readonly string[];
  readonly tablespace: string | undefined;
  readonly accessMethod: string | undefined;
  readonly replicaIdentity: "default" | "nothing" | "full" | "index";
  readonly columns: readonly Column[];
  readonly constraints: readonly Constraint[];
  readonly indexes: readonly Index[];
  readonly triggers: readonly Trigger[];
  readonly policies: readonly Policy[];
  readonly rules: readonly Rule[];
  /** Server and options of a foreign table. */
  readonly foreign: { readonly server: string; readonly options: readonly string[] } | undefined;
  /** `CREATE TABLE … OF type`, as SQL, e.g. `public.address`. */
  readonly ofType: string | undefined;
}

export interface Column {
  readonly name: string;
  /** `attnum`: position counted from 1, with gaps where columns were dropped. */
  readonly position: number;
  /** `format_type`, e.g. `character varying(40)`, `timestamp with time zone`, `vector(3)`. */
  readonly type: string;
  /** Name of the type without modifiers and its schema: `{ schema: "pg_catalog", name: "int4" }`; an array (`_int4`) has its element's name in `elementOf`. */
  readonly typeName: TypeName & { readonly elementOf: TypeName | undefined };
  /** For a domain: `format_type` of the base type at the bottom, e.g. `integer`; otherwise equal to `type`. */
  readonly baseType: string;
  /** False also under a NOT NULL constraint that is not validated yet (PostgreSQL 18; the constraint's `isValidated` tells). */
  readonly isNullable: boolean;
  /** `pg_get_expr` of the default; for a generated column see `generated`. */
  readonly default: string | undefined;
  readonly identity: "always" | "by default" | undefined;
  readonly generated: { readonly kind: "stored" | "virtual"; readonly expression: string } | undefined;
  /** As SQL, e.g. `"C"` or `texts.german`; only when it differs from the type's default collation. */
  readonly collation: string | undefined;
  readonly storage: "plain" | "external" | "extended" | "main";
  /** Whether `storage` is the type's own. */
  readonly isDefaultStorage: boolean;
  readonly compression: string | undefined;
  readonly statisticsTarget: number | undefined;
  /** False for a column that only comes from a parent (partition or inheritance). */
  readonly isLocal: boolean;
  /** `attoptions`, e.g. `n_distinct=-0.5`. */
  readonly options: readonly string[];
  /** `attfdwoptions` of a column of a foreign table, e.g. `column_name=street`. */
  readonly foreignOptions: readonly string[];
  readonly comment: string | undefined;
}

export interface TypeName {
  readonly schema: string;
  readonly name: string;
}

export interface Constraint {
  readonly name: string;
  readonly kind: "primary key" | "unique" | "foreign key" | "check" | "exclusion" | "not null";
  /** Columns in the constraint's order; empty for a check on no column. */
  readonly columns: readonly string[];
  /** `pg_get_constraintdef`. */
  readonly definition: string;
  readonly isValidated: boolean;
  readonly isDeferrable: boolean;
  readonly isInitiallyDeferred: boolean;
  /** False for one that comes from a partitioned or inherited parent. */
  readonly isLocal: boolean;
  readonly isNoInherit: boolean;
  /** `NOT ENFORCED` (PostgreSQL 18) makes it false. */
  readonly isEnforced: boolean;
  /** Index behind a primary key, unique or exclusion constraint; for a foreign key the referenced table's index. */
  readonly index: string | undefined;
  readonly references:
    | {
        readonly schema: string;
        readonly table: string;
        readonly columns: readonly string[];
        readonly onUpdate: ReferentialAction;
        readonly onDelete: ReferentialAction;
        /** Columns of `ON DELETE SET NULL (…)` and `SET DEFAULT (…)`; empty means all columns of the key. */
        readonly onDeleteColumns: readonly string[];
        readonly match: "simple" | "full" | "partial";
      }
    | undefined;
  readonly comment: string | undefined;
}

export type ReferentialAction = "no action" | "restrict" | "cascade" | "set null" | "set default";

export interface IndexKey {
  /** Column name, or `undefined` for an expression. */
  readonly column: string | undefined;
  /** `pg_get_indexdef(oid, n, false)`: the column or expression as SQL. */
  readonly expression: string;
  readonly operatorClass: string;
  readonly operatorClassSchema: string;
  readonly isDefaultOperatorClass: boolean;
  /** e.g. `siglen=64`. */
  readonly operatorClassOptions: readonly string[];
  readonly statisticsTarget: number | undefined;
  /** As SQL; only when it differs from the column's collation. */
  readonly collation: string | undefined;
  readonly direction: "asc" | "desc";
  readonly nulls: "first" | "last";
}

export interface Index {
  readonly name: string;
  readonly method: string;
  readonly keys: readonly IndexKey[];
  /** INCLUDE columns. */
  readonly include: readonly string[];
  /** WHERE of a partial index. */
  readonly predicate: string | undefined;
  readonly isUnique: boolean;
  readonly nullsNotDistinct: boolean;
  readonly isPrimary: boolean;
  /** Constraint (primary key, unique, exclusion) this index serves. */
  readonly constraint: string | undefined;
  readonly isValid: boolean;
  readonly isReady: boolean;
  /** A CREATE INDEX or REINDEX is building it right now (`pg_stat_progress_create_index`). */
  readonly isBeingBuilt: boolean;
  /** Parent index on the partitioned table. */
  readonly partitionOf: string | undefined;
  readonly isPartitioned: boolean;
  readonly isReplicaIdentity: boolean;
  readonly isClustered: boolean;
  readonly storageParameters: readonly string[];
  readonly tablespace: string | undefined;
  readonly sizeBytes: number | undefined;
  /** Scans since statistics were reset; `undefined` where the server keeps none. */
  readonly scans: number | undefined;
  /** `pg_get_indexdef`. */
  readonly definition: string;
  readonly comment: string | undefined;
}

export interface Trigger {
  readonly name: string;
  readonly definition: string;
  readonly functionSchema: string;
  readonly functionName: string;
  readonly timing: "before" | "after" | "instead of";
  readonly events: readonly ("insert" | "update" | "delete" | "truncate")[];
  /** Columns of `UPDATE OF`; empty when every update counts. */
  readonly updateColumns: readonly string[];
  readonly level: "row" | "statement";
  readonly enabled: "origin" | "disabled" | "replica" | "always";
  /** False for one cloned from the partitioned parent. */
  readonly isLocal: boolean;
  readonly isConstraint: boolean;
  readonly comment: string | undefined;
}

export interface Policy {
  readonly name: string;
  readonly isPermissive: boolean;
  readonly command: "all" | "select" | "insert" | "update" | "delete";
  /** `["public"]` when it holds for everybody. */
  readonly roles: readonly string[];
  readonly using: string | undefined;
  readonly withCheck: string | undefined;
  readonly comment: string | undefined;
}

/** A rewrite rule that a person wrote; the one that makes a view is the view. */
export interface Rule {
  readonly name: string;
  readonly definition: string;
  readonly event: "select" | "insert" | "update" | "delete";
  readonly enabled: "origin" | "disabled" | "replica" | "always";
  readonly comment: string | undefined;
}

export interface View extends ObjectBase {
  readonly kind: "view" | "materialized view";
  /** `pg_get_viewdef`. */
  readonly definition: string;
  readonly columns: readonly Column[];
  /** e.g. `security_invoker=true`, `security_barrier=true`. */
  readonly options: readonly string[];
  /** Indexes of a materialized view. */
  readonly indexes: readonly Index[];
  readonly triggers: readonly Trigger[];
  readonly rules: readonly Rule[];
  /** False for a materialized view created WITH NO DATA. */
  readonly isPopulated: boolean;
  /** Of a materialized view. */
  readonly tablespace: string | undefined;
  readonly accessMethod: string | undefined;
}

export interface Function extends ObjectBase {
  readonly kind: "function" | "procedure" | "aggregate" | "window";
  /** `pg_get_function_identity_arguments`: together with schema and name its identity. */
  readonly arguments: string;
  readonly returns: string | undefined;
  readonly language: string;
  readonly volatility: "immutable" | "stable" | "volatile";
  readonly isSecurityDefiner: boolean;
  readonly isStrict: boolean;
  readonly isLeakproof: boolean;
  readonly parallel: "safe" | "restricted" | "unsafe";
  /** `proconfig`, e.g. `search_path=pg_catalog`. */
  readonly settings: readonly string[];
  /** `pg_get_functiondef`; for an aggregate `undefined`, see `aggregate`. */
  readonly definition: string | undefined;
  readonly aggregate: Aggregate | undefined;
}

export interface Sequence extends ObjectBase {
  readonly persistence: "permanent" | "unlogged" | "temporary";
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycles: boolean;
  /** False without the right to read it, and for an unlogged one on a replica. */
  readonly isLastValueReadable: boolean;
  /** `undefined` before the first `nextval`, or when it is not readable. Text: it may exceed 2^53. */
  readonly lastValue: string | undefined;
  /** Column that owns it (`OWNED BY`, serial or identity). */
  readonly ownedBy:
    | { readonly schema: string; readonly table: string; readonly column: string; readonly isIdentity: boolean }
    | undefined;
}

/**
 * One entry of an access control list, of a default privilege (the grantor is the role it was set for), or of a column.
 * `public` is the grantee PUBLIC. An object whose list was never touched has no entry and means PostgreSQL's defaults; a list
 * emptied by REVOKE is one entry of the owner without privileges. Views, materialized views and foreign tables are `table`.
 */
export interface Grant {
  readonly objectKind:
    | "schema"
    | "table"
    | "column"
    | "sequence"
    | "function"
    | "type"
    | "language"
    | "foreign data wrapper"
    | "foreign server"
    | "database"
    | "parameter"
    | "default";
  /** `undefined` for what has no schema, and for a default that holds in every schema. */
  readonly schema: string | undefined;
  /**
   * For a function with its identity arguments; for a column `table.column`; for a default the kind of object it is for:
   * `tables`, `sequences`, `functions`, `types`, `schemas`, `large objects`.
   */
  readonly object: string;
  readonly grantee: string;
  readonly grantor: string;
  /** e.g. `SELECT`, `INSERT`, `USAGE`, sorted. */
  readonly privileges: readonly string[];
  /** Those of them the grantee may pass on. */
  readonly grantable: readonly string[];
}

export interface Statistics extends ObjectBase {
  readonly table: { readonly schema: string; readonly name: string };
  /** `pg_get_statisticsobjdef`. */
  readonly definition: string;
  readonly statisticsTarget: number | undefined;
}

export interface UnknownObject {
  /** The server's own word for it, as `pg_identify_object` has it. */
  readonly kind: string;
  /** `undefined` for what belongs to the database. */
  readonly schema: string | undefined;
  readonly name: string;
}
