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
  MemberGrant,
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
export type {
  AccessMethod,
  BaseType,
  Cast,
  Collation,
  Conversion,
  DatabaseSetting,
  ForeignDataWrapper,
  ForeignServer,
  FunctionMember,
  Language,
  Operator,
  OperatorClass,
  OperatorFamily,
  OperatorMember,
  OtherKind,
  OtherLists,
  OtherObjects,
  Publication,
  PublishedTable,
  SecurityLabel,
  Subscription,
  TextSearchConfiguration,
  TextSearchDictionary,
  TextSearchParser,
  TextSearchTemplate,
  Transform,
  UserMapping,
} from "./model-others.ts";
export {
  baseTypeSettings,
  functionMember,
  foreignOptions,
  holdsSecret,
  operatorMember,
  publicationOptions,
  subscriptionOptions,
  type OtherObjectKind,
} from "./create-others.ts";
export { viewColumnSettings } from "./create-view.ts";
export { MASKED } from "./masked.ts";
export { nameOf, optionList, partOf, spellingOf, storageWord } from "./spelling.ts";
export { describeTable, type PartitionDescription, type ReverseForeignKey, type TableDescription } from "./describe.ts";
export { readCatalog, type ReadCatalogOptions } from "./read.ts";
export { objectsToCompare } from "./members.ts";
export type { OwnerOptions } from "./owners.ts";
export { compareCatalogs, compareObjects, type Change, type FactChange } from "./compare.ts";
export { attachOrder, printCatalog, rankOf, separateDefaults, writtenIn } from "./print.ts";
export { objectId } from "./object-id.ts";
export { catalogObjects, type CatalogObjects } from "./objects.ts";
export { inOrder } from "./order.ts";
export { literal } from "../postgres/index.ts";
export { builtInPrivileges, OWNER, usualPrivileges } from "./privileges.ts";
export {
  alterTable,
  collate,
  columnDefinition,
  constraintDefinition,
  createStatements,
  firing,
  identityClause,
  identitySettings,
  onlyOf,
  passesNotNullDown,
  policyClauses,
  sequenceOptions,
  type CreateContext,
} from "./create.ts";
export type {
  CatalogObject,
  ColumnSettings,
  FactsOfKind,
  ObjectKind,
  PrivilegeEntry,
  SequenceFacts,
} from "./object-facts.ts";
export {
  defaultPrivilegeStatements,
  initialDefaults,
  initialPrivileges,
  privilegeStatements,
  type InitialPrivileges,
} from "./grant-statements.ts";
