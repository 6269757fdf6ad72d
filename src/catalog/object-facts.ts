// The catalog as a flat set of objects: what a comparison and a plan work on. Types only.
// Facts are what an object is; sizes, estimates, positions and oids are none.

import type { Extension } from "./model.ts";
import type { OtherKind, OtherObjects, SecurityLabel } from "./model-others.ts";

/** One entry of a list of privileges; the grantee `$owner` is whoever owns the object. */
export interface PrivilegeEntry {
  readonly grantee: string;
  readonly privileges: readonly string[];
  readonly grantable: readonly string[];
}

/** What a list of privileges belongs to. */
export type SecurableKind =
  | "schema"
  | "table"
  | "column"
  | "sequence"
  | "function"
  | "type"
  | "language"
  | "foreign data wrapper"
  | "foreign server";

export interface SequenceFacts {
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycles: boolean;
}

type NotFacts = "schema" | "name" | "owner" | "comment" | "extension";
type FactsOfOthers = {
  readonly [K in Exclude<OtherKind, "base type" | "publication" | "subscription">]: Omit<OtherObjects[K], NotFacts>;
};

/** How the values of a column are kept and counted. */
export interface ColumnSettings {
  readonly column: string;
  readonly storage: string | undefined;
  readonly compression: string | undefined;
  readonly statisticsTarget: number | undefined;
  readonly options: readonly string[];
}

/** The facts of each kind of object. Texts are SQL as the server prints it, with every name qualified. */
export interface FactsOfKind extends FactsOfOthers {
  readonly schema: object;
  /** The name of a base type, for the functions that a full one is made of. */
  readonly "shell type": object;
  readonly "base type": Omit<OtherObjects["base type"], NotFacts | "isDefined">;
  readonly publication: Omit<OtherObjects["publication"], NotFacts | "tables" | "schemas">;
  /** `table` as SQL. */
  readonly "publication table": {
    readonly table: string;
    readonly columns: readonly string[] | undefined;
    readonly where: string | undefined;
  };
  readonly "publication schema": { readonly schema: string };
  readonly subscription: Omit<OtherObjects["subscription"], NotFacts | "isEnabled">;
  readonly "security label": SecurityLabel;
  /** What `ALTER EXTENSION … ADD` made a member; `on` is what that names, as SQL. */
  readonly "extension member": { readonly extension: string; readonly on: string };
  /** `on` is what `ALTER … DEPENDS ON EXTENSION` names, as SQL. */
  readonly "extension dependency": { readonly extension: string; readonly on: string };
  /** `on` as ALTER … OWNER TO names it. */
  readonly owner: { readonly on: string; readonly role: string };
  readonly extension: Pick<Extension, "version" | "schema" | "isRelocatable">;
  readonly enum: { readonly labels: readonly string[] };
  readonly composite: {
    readonly attributes: readonly {
      readonly name: string;
      readonly type: string;
      readonly collation: string | undefined;
    }[];
  };
  readonly domain: {
    readonly type: string;
    readonly collation: string | undefined;
    readonly default: string | undefined;
    readonly isNullable: boolean;
  };
  readonly "domain constraint": { readonly definition: string };
  readonly range: {
    readonly subtype: string;
    readonly operatorClass: string | undefined;
    readonly collation: string | undefined;
    readonly canonicalFunction: string | undefined;
    readonly differenceFunction: string | undefined;
    readonly multirangeName: string;
  };
  readonly sequence: SequenceFacts & { readonly persistence: string };
  /** `OWNED BY` of a sequence that is not an identity column's. */
  readonly "sequence owner": { readonly schema: string; readonly table: string; readonly column: string };
  readonly function: { readonly kind: string; readonly header: string; readonly definition: string };
  readonly table: {
    readonly kind: "table" | "partitioned" | "foreign";
    readonly persistence: string;
    readonly partitionKey: string | undefined;
    readonly inherits: readonly { readonly schema: string; readonly name: string }[];
    readonly storageParameters: readonly string[];
    readonly tablespace: string | undefined;
    readonly accessMethod: string | undefined;
    readonly foreign: { readonly server: string; readonly options: readonly string[] } | undefined;
    readonly ofType: string | undefined;
  };
  /** A table's being a partition. */
  readonly partition: { readonly parentSchema: string; readonly parentTable: string; readonly bound: string };
  readonly column: {
    readonly type: string;
    readonly collation: string | undefined;
    readonly isNullable: boolean;
    /** Its NOT NULL constraint is NOT VALID (PostgreSQL 18). */
    readonly isNotNullPending: boolean;
    /** `NOT NULL … NO INHERIT` (PostgreSQL 18). */
    readonly isNotNullNoInherit: boolean;
    readonly identity:
      | {
          readonly kind: string;
          readonly name: string;
          readonly sequence: SequenceFacts;
          /** Of the sequence, where it is not that of the table. */
          readonly persistence: string | undefined;
        }
      | undefined;
    readonly generated: { readonly kind: string; readonly expression: string } | undefined;
    readonly storage: string | undefined;
    readonly compression: string | undefined;
    readonly statisticsTarget: number | undefined;
    readonly options: readonly string[];
    /** For the wrapper of a foreign table. */
    readonly foreignOptions: readonly string[];
  };
  readonly default: { readonly expression: string };
  readonly constraint: {
    readonly kind: "primary key" | "unique" | "foreign key" | "check" | "exclusion";
    readonly definition: string;
    readonly storageParameters: readonly string[];
    readonly tablespace: string | undefined;
  };
  readonly index: {
    readonly definition: string;
    readonly tablespace: string | undefined;
    readonly isUsable: boolean;
    readonly statisticsTargets: readonly (readonly [position: number, target: number])[];
  };
  /** A partition's index being a part of its parent's. */
  readonly "index partition": { readonly schema: string; readonly parentIndex: string; readonly index: string };
  readonly "replica identity": { readonly mode: string; readonly index: string | undefined };
  /** `CLUSTER ON`. */
  readonly clustering: { readonly index: string };
  readonly "row security": { readonly enabled: boolean; readonly forced: boolean };
  readonly view: {
    readonly kind: "view" | "materialized view";
    readonly definition: string;
    readonly options: readonly string[];
    readonly columns: readonly {
      readonly name: string;
      readonly type: string;
      readonly collation: string | undefined;
    }[];
    readonly defaults: readonly { readonly column: string; readonly expression: string }[];
    readonly isPopulated: boolean;
    readonly tablespace: string | undefined;
    readonly accessMethod: string | undefined;
    /** Columns of a materialized view on which something is set. */
    readonly columnSettings: readonly ColumnSettings[];
  };
  readonly rule: { readonly definition: string; readonly enabled: string };
  readonly trigger: { readonly definition: string; readonly isConstraint: boolean; readonly enabled: string };
  /** Of a partition's clone of its table's trigger, where it fires otherwise than that. */
  readonly "trigger state": { readonly enabled: string; readonly inherited: string };
  readonly policy: {
    readonly isPermissive: boolean;
    readonly command: string;
    readonly roles: readonly string[];
    readonly using: string | undefined;
    readonly withCheck: string | undefined;
  };
  readonly statistics: { readonly definition: string; readonly statisticsTarget: number | undefined };
  readonly "event trigger": {
    readonly event: string;
    readonly tags: readonly string[];
    readonly functionSchema: string;
    readonly functionName: string;
    readonly enabled: string;
  };
  /** `on` is what COMMENT ON names, as SQL. */
  readonly comment: { readonly on: string; readonly text: string };
  /** `on` is what GRANT names, as SQL; for a column the table. */
  readonly privileges: {
    readonly of: SecurableKind;
    readonly on: string;
    readonly column: string | undefined;
    readonly entries: readonly PrivilegeEntry[];
  };
  readonly "default privileges": {
    readonly role: string;
    readonly schema: string | undefined;
    readonly of: string;
    readonly entries: readonly PrivilegeEntry[];
  };
}

export type ObjectKind = keyof FactsOfKind;

interface ObjectOf<K extends ObjectKind> {
  readonly kind: K;
  /** e.g. `column shop.customers.email`; the same object has the same id in every catalog. */
  readonly id: string;
  readonly schema: string | undefined;
  /** For a part of a table, view, sequence or domain: the name of that. */
  readonly name: string;
  readonly part: string | undefined;
  readonly facts: FactsOfKind[K];
  /** The object it is a part of: gone with it. */
  readonly parent: string | undefined;
  /** Ids of what it cannot exist without, its parent included. */
  readonly needs: readonly string[];
  /** The same column, check or index of the parent table, for one that is inherited. */
  readonly inheritedFrom: string | undefined;
  /** Name of the NOT NULL constraint of a column. */
  readonly notNullName: string | undefined;
  /** Of a partition: those that came from its parent, under the names they have on the partition. */
  readonly foreignKeys?: readonly { readonly name: string; readonly definition: string }[];
  /** Of a list of privileges of a member of an extension: what holds where nothing was granted or revoked. */
  readonly initialEntries?: readonly PrivilegeEntry[];
  /** Of the comment on an extension: what CREATE EXTENSION writes. */
  readonly initialText?: string;
  /** Of an extension in another version than the one that its server installs: CREATE EXTENSION has to name it. */
  readonly namedVersion?: string;
}

/** An object of one kind, or of any. */
export type CatalogObject<K extends ObjectKind = ObjectKind> = { [T in K]: ObjectOf<T> }[K];
