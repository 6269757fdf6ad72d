// The catalog: what pg_catalog says exists, read in one snapshot, and what can be said about it without the server.
export type { Aggregate } from "./aggregate.ts";
export type {
  Catalog,
  Column,
  CompositeType,
  Constraint,
  Domain,
  Enum,
  EventTrigger,
  Extension,
  Function,
  Grant,
  Index,
  IndexKey,
  ObjectBase,
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
