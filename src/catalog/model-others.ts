// The kinds of objects beside tables, views, functions and common types: what extends PostgreSQL itself, foreign data, replication.
// Types only. Names of functions, types and operators inside are SQL, qualified unless they are pg_catalog's.
import type { Grant, ObjectReference } from "./model.ts";

/** What every object of these kinds has; those that PostgreSQL gives no owner have none. */
interface Described {
  readonly comment: string | undefined;
  readonly extension: string | undefined;
}

interface InSchema extends Described {
  readonly schema: string;
  readonly name: string;
}

interface OwnedInSchema extends InSchema {
  readonly owner: string;
}

interface InDatabase extends Described {
  readonly name: string;
}

interface OwnedInDatabase extends InDatabase {
  readonly owner: string;
}

export interface Collation extends OwnedInSchema {
  readonly provider: "libc" | "icu" | "builtin" | "default";
  /** Of icu and builtin. */
  readonly locale: string | undefined;
  /** Of libc. */
  readonly lcCollate: string | undefined;
  readonly lcCtype: string | undefined;
  readonly isDeterministic: boolean;
  /** ICU rules (PostgreSQL 16). */
  readonly rules: string | undefined;
}

export interface Conversion extends OwnedInSchema {
  readonly from: string;
  readonly to: string;
  readonly function: string;
  readonly isDefault: boolean;
}

export interface Cast extends Described {
  /** `source AS target`. */
  readonly name: string;
  readonly source: string;
  readonly target: string;
  /** With its arguments; only for the method `function`. */
  readonly function: string | undefined;
  readonly method: "function" | "inout" | "binary";
  readonly context: "explicit" | "assignment" | "implicit";
}

export interface Operator extends OwnedInSchema {
  /** `undefined` for a prefix operator. */
  readonly left: string | undefined;
  readonly right: string;
  readonly function: string;
  /** As SQL, e.g. `shop.<<<`, without argument types. */
  readonly commutator: string | undefined;
  readonly negator: string | undefined;
  readonly restrict: string | undefined;
  readonly join: string | undefined;
  readonly hashes: boolean;
  readonly merges: boolean;
}

export interface OperatorMember {
  readonly strategy: number;
  /** With its arguments, e.g. `<(integer,bigint)`. */
  readonly operator: string;
  readonly left: string;
  readonly right: string;
  /** B-tree family of an ordering operator (`FOR ORDER BY`). */
  readonly orderBy: string | undefined;
}

export interface FunctionMember {
  readonly number: number;
  readonly left: string;
  readonly right: string;
  /** With its arguments. */
  readonly function: string;
}

/** Its own members are those that no operator class brought. */
export interface OperatorFamily extends OwnedInSchema {
  /** Access method. */
  readonly method: string;
  readonly operators: readonly OperatorMember[];
  readonly functions: readonly FunctionMember[];
}

export interface OperatorClass extends OwnedInSchema {
  readonly method: string;
  readonly type: string;
  readonly family: string;
  readonly isDefault: boolean;
  /** Type kept in the index where it is another one. */
  readonly storage: string | undefined;
  readonly operators: readonly OperatorMember[];
  readonly functions: readonly FunctionMember[];
}

export interface AccessMethod extends InDatabase {
  readonly type: "index" | "table";
  readonly handler: string;
}

export interface Language extends OwnedInDatabase {
  readonly isTrusted: boolean;
  readonly handler: string | undefined;
  readonly inline: string | undefined;
  readonly validator: string | undefined;
}

/** Its name is the type's. */
export interface Transform extends Described {
  readonly name: string;
  readonly language: string;
  /** With their arguments. */
  readonly fromSql: string | undefined;
  readonly toSql: string | undefined;
}

/** `CREATE TYPE … (INPUT = …)`; as long as it is a shell type, only its name is there. */
export interface BaseType extends OwnedInSchema {
  readonly isDefined: boolean;
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly receive: string | undefined;
  readonly send: string | undefined;
  readonly modifierInput: string | undefined;
  readonly modifierOutput: string | undefined;
  readonly analyze: string | undefined;
  readonly subscript: string | undefined;
  /** -1: variable. */
  readonly length: number | undefined;
  readonly isPassedByValue: boolean | undefined;
  readonly alignment: "char" | "int2" | "int4" | "double" | undefined;
  readonly storage: "plain" | "external" | "extended" | "main" | undefined;
  readonly category: string | undefined;
  readonly isPreferred: boolean | undefined;
  readonly default: string | undefined;
  readonly element: string | undefined;
  readonly delimiter: string | undefined;
  readonly isCollatable: boolean | undefined;
}

export interface TextSearchParser extends InSchema {
  readonly start: string;
  readonly token: string;
  readonly end: string;
  readonly headline: string | undefined;
  readonly lexemeTypes: string;
}

export interface TextSearchTemplate extends InSchema {
  readonly init: string | undefined;
  readonly lexize: string;
}

export interface TextSearchDictionary extends OwnedInSchema {
  readonly template: string;
  /** As SQL, e.g. `language = 'german', stopwords = 'german'`. */
  readonly options: string | undefined;
}

export interface TextSearchConfiguration extends OwnedInSchema {
  readonly parser: string;
  /** By token type, in the order of the parser; dictionaries in the order in which they are asked. */
  readonly mappings: readonly { readonly token: string; readonly dictionaries: readonly string[] }[];
}

/** Options are `name=value`; the value of one whose name says that it is a secret is never read and stands as `MASKED`. */
export interface ForeignDataWrapper extends OwnedInDatabase {
  readonly handler: string | undefined;
  readonly validator: string | undefined;
  readonly options: readonly string[];
}

export interface ForeignServer extends OwnedInDatabase {
  readonly wrapper: string;
  readonly type: string | undefined;
  readonly version: string | undefined;
  readonly options: readonly string[];
}

/** Its name is the server's. */
export interface Extension {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
  /** Whether `SET SCHEMA` can move it. */
  readonly isRelocatable: boolean;
  readonly comment: string | undefined;
  /** What CREATE EXTENSION makes of it, by the control file. `undefined` when the server has the file no more. */
  readonly usualComment: string | undefined;
  readonly usualVersion: string | undefined;
  /** On its members, where they are not those that its script left; those are there too, as `isInitial`. */
  readonly grants: readonly MemberGrant[];
  /** Tables, views, sequences, types and functions; empty when dependencies were not read. */
  readonly members: readonly ObjectReference[];
  /** What is to go with it: `ALTER … DEPENDS ON EXTENSION`. */
  readonly dependents: readonly ObjectReference[];
  /** On its members; `on` as COMMENT ON names it. */
  readonly comments: readonly {
    readonly on: string;
    readonly text: string;
    /** Its script wrote it. */
    readonly isInitial: boolean;
  }[];
}

export interface MemberGrant extends Grant {
  readonly owner: string;
  readonly isInitial: boolean;
}

export interface UserMapping extends Described {
  readonly name: string;
  /** `public` when it holds for everybody. */
  readonly user: string;
  /** Every value stands as `MASKED`, but the remote user's name and `password_required`. `undefined` when this login may not see them. */
  readonly options: readonly string[] | undefined;
}

export interface PublishedTable {
  readonly schema: string;
  readonly name: string;
  /** Columns that are sent; `undefined` means all. */
  readonly columns: readonly string[] | undefined;
  /** Which rows are sent. */
  readonly where: string | undefined;
}

export interface Publication extends OwnedInDatabase {
  readonly allTables: boolean;
  readonly tables: readonly PublishedTable[];
  /** `FOR TABLES IN SCHEMA` (PostgreSQL 15). */
  readonly schemas: readonly string[];
  readonly publishes: readonly ("insert" | "update" | "delete" | "truncate")[];
  readonly viaRoot: boolean;
  /** PostgreSQL 18. */
  readonly generatedColumns: "none" | "stored" | undefined;
}

/** Its connection string is never read. Whether it is enabled is a state of the server: read, and not compared. */
export interface Subscription extends OwnedInDatabase {
  readonly isEnabled: boolean;
  readonly slotName: string | undefined;
  readonly publications: readonly string[];
  readonly isBinary: boolean;
  readonly streaming: "off" | "on" | "parallel";
  readonly synchronousCommit: string | undefined;
  /** `undefined` where the server is older than the setting. */
  readonly twoPhase: boolean | undefined;
  readonly disableOnError: boolean | undefined;
  readonly passwordRequired: boolean | undefined;
  readonly runAsOwner: boolean | undefined;
  readonly origin: string | undefined;
  readonly failover: boolean | undefined;
}

export interface EventTrigger {
  readonly name: string;
  readonly owner: string;
  readonly event: string;
  /** Command tags of its WHEN clause; empty when it fires for all. */
  readonly tags: readonly string[];
  readonly functionSchema: string;
  readonly functionName: string;
  readonly enabled: "origin" | "disabled" | "replica" | "always";
  readonly comment: string | undefined;
  readonly extension: string | undefined;
}

/** `SECURITY LABEL`: what a label provider such as sepgsql or anon keeps about an object. */
export interface SecurityLabel {
  readonly provider: string;
  /** What it is about, as SQL: `TABLE public.people`. */
  readonly on: string;
  readonly label: string;
}

/**
 * `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`: read so that they are known, neither compared nor written, because
 * they belong to a database and its roles, and not to a schema.
 */
export interface DatabaseSetting {
  /** `undefined`: for everybody. */
  readonly role: string | undefined;
  readonly name: string;
  /** `undefined` for a setting of an extension or application (`app.key`): such values may be secrets and are not read. */
  readonly value: string | undefined;
}

/** The objects by PostgreSQL's word for their kind. */
export interface OtherObjects {
  readonly collation: Collation;
  readonly conversion: Conversion;
  readonly cast: Cast;
  readonly operator: Operator;
  readonly "operator family": OperatorFamily;
  readonly "operator class": OperatorClass;
  readonly "access method": AccessMethod;
  readonly language: Language;
  readonly transform: Transform;
  readonly "base type": BaseType;
  readonly "text search parser": TextSearchParser;
  readonly "text search template": TextSearchTemplate;
  readonly "text search dictionary": TextSearchDictionary;
  readonly "text search configuration": TextSearchConfiguration;
  readonly "foreign data wrapper": ForeignDataWrapper;
  readonly "foreign server": ForeignServer;
  readonly "user mapping": UserMapping;
  readonly publication: Publication;
  readonly subscription: Subscription;
}

export type OtherKind = keyof OtherObjects;

/** The lists of a catalog that hold them. */
export interface OtherLists {
  readonly collations: readonly Collation[];
  readonly conversions: readonly Conversion[];
  readonly casts: readonly Cast[];
  readonly operators: readonly Operator[];
  readonly operatorFamilies: readonly OperatorFamily[];
  readonly operatorClasses: readonly OperatorClass[];
  readonly accessMethods: readonly AccessMethod[];
  readonly languages: readonly Language[];
  readonly transforms: readonly Transform[];
  readonly baseTypes: readonly BaseType[];
  readonly textSearchParsers: readonly TextSearchParser[];
  readonly textSearchTemplates: readonly TextSearchTemplate[];
  readonly textSearchDictionaries: readonly TextSearchDictionary[];
  readonly textSearchConfigurations: readonly TextSearchConfiguration[];
  readonly foreignDataWrappers: readonly ForeignDataWrapper[];
  readonly foreignServers: readonly ForeignServer[];
  readonly userMappings: readonly UserMapping[];
  readonly publications: readonly Publication[];
  readonly subscriptions: readonly Subscription[];
  readonly securityLabels: readonly SecurityLabel[];
  readonly settings: readonly DatabaseSetting[];
}
