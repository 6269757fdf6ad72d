// The catalog: what pg_catalog says exists, read in one snapshot, and what can be said about it without the server.
export type { Aggregate } from "./aggregate.ts";
export type {
  Catalog,
  Column,
  CompositeType,
  Constraint,
  Dependency,
  Domain,
  Enum,
  EventTrigger,
  Extension,
  Function,
  Grant,
  Index,
  IndexKey,
  ObjectBase,
  ObjectReference,
  Policy,
  RangeType,
  ReferentialAction,
  Rule,
  Schema,
  Sequence,
  Statistics,
  Table,
  Trigger,
  TypeName,
  UnknownObject,
  View,
} from "./model.ts";
export { describeTable, type PartitionDescription, type ReverseForeignKey, type TableDescription } from "./describe.ts";
export { readCatalog, type ReadCatalogOptions } from "./read.ts";
export { compareCatalogs, type Change, type FactChange } from "./compare.ts";
export { printCatalog } from "./print.ts";
export type { CatalogObject, FactsOfKind, ObjectKind, PrivilegeEntry } from "./object-facts.ts";
