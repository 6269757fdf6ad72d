// Units of work: what agents use to touch rows.
export { defineTable, tableMetadata, type TableMetadata } from "./define-table.ts";
export { createSessionFactory } from "./session-factory.ts";
export type {
  Declared,
  DeclaredResult,
  PreparedUnit,
  ReadOptions,
  SessionFactory,
  SessionFactoryOptions,
  UnitOptions,
} from "./session-types.ts";
export type { PlaceholderValues } from "./unit-query.ts";
export type { ColumnCasing } from "./casing.ts";
export { DEFAULT_LIMITS, type SessionContext, type SessionLimits } from "./context.ts";
export { UnitDatabase } from "./unit-database.ts";
export type { Schema } from "./unit-session.ts";
export type { IsolationLevel, UnitWarning } from "./unit-settings.ts";
export type { EndRecord, FlushRecord, ObservedStatement, ObservedUnit, UnitObserver } from "./unit-observer.ts";
export type { ClaimOptions, LockMode, LockOptions, LockWait } from "./locking.ts";
export type { KeyValue, RowOf, RowSelection } from "./table-columns.ts";
export {
  jsonAppend,
  jsonIncrement,
  jsonMerge,
  jsonRemove,
  jsonSet,
  type CheckedJsonPath,
  type JsonAt,
  type JsonDocument,
  type JsonKey,
  type JsonTarget,
} from "./json-update.ts";
export type { JsonPath } from "./json-value.ts";
export type { Upserted, UpsertedRow, UpsertOptions } from "./upsert.ts";
export type { ConflictRule } from "./on-conflict.ts";
export type { RetryNotice, RetryOptions } from "./retry.ts";
export type { FlushResult } from "./tracked-rows.ts";
export type { GuardPath, LoadOptions, RowLockOptions } from "./row-select.ts";
export type { RelatedRows, RelationOptions, RelationsOf, RowWith, WithRelations } from "./relations.ts";
export type { BulkInserted, BulkInsertOptions, BulkReturned } from "./bulk.ts";
export type { BulkUpdated, BulkUpdateOptions } from "./bulk-update.ts";
export type { CopyOptions } from "./copy.ts";
export type { CopyChunk, CopySource } from "./copy-wire.ts";
export { createRecorder, type RecordedStatement, type Recorder, type RecorderOptions } from "./recorder.ts";
export { createRecorderTables } from "./recorder-table.ts";
export type { ParameterSampling } from "./parameter-samples.ts";
export type { RepeatedNotice, RepeatedReport, RepeatedStatement } from "./repeated-statements.ts";
export type { StatementPredicate } from "./statement-predicates.ts";
export type { CursorKey } from "./cursor-token.ts";
export type { OffsetPage, OffsetPageOptions, Page, PageOptions, TotalKind } from "./pagination.ts";
export type { Direction, SortKey } from "./page-order.ts";
export type { PageRow } from "./unit-database.ts";
export type { StreamOptions } from "./stream.ts";
export { livingOnly, partialUnique } from "./soft-delete.ts";
export { createKeyRing, KeyRing, type KeyRingOptions, type KeySource, type ValuePlace } from "./key-ring.ts";
export { blindIndexColumn, encryptedJson, encryptedText, EncryptedValue } from "./encrypted-columns.ts";
export {
  blindIndex,
  decryptRow,
  decryptRows,
  encryptRow,
  type OpenedRow,
  type Plain,
  type PlainRow,
  type SealedRow,
} from "./encryption.ts";
export { reencrypt, type ReencryptOptions, type ReencryptProgress } from "./reencrypt.ts";
export type { EncryptedColumnOptions } from "./define-table.ts";
export {
  createSignedContextFunctions,
  signedTenantCondition,
  type SignedContextFactoryOptions,
  type SignedContextFunctionsOptions,
  type SignedContextOptions,
} from "./signed-context.ts";
