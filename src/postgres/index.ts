// The one engine: databases, connections, one-flush batches, errors, quoting, embedded servers, shadows.
export type {
  AcquireOptions,
  Backend,
  Connection,
  Database,
  DatabaseKind,
  Health,
  Lease,
  PoolFigures,
  Queryable,
  QueryOptions,
  QueryResult,
  Row,
  ServerFacts,
  RowMapper,
  Statement,
  TransactionStatus,
} from "./database.ts";
export * from "./errors.ts";
export { identifier, MAX_IDENTIFIER_BYTES, printedIdentifier } from "./identifier.ts";
export { dollarQuoted, literal } from "./literal.ts";
export type { ListenOptions, Notification, Subscription } from "./listener.ts";
export { LOCK_HOLDER_COLUMNS, lockHolderOf, type LockHolderRow } from "./lock-holder.ts";
export { currentUnit, driverIO, runInUnit, type OpenUnit } from "./open-unit.ts";
export { callSite, callSiteOf, type CallSite } from "./call-site.ts";
export { openDatabase, isSameEngine, leaseForUnit } from "./connect.ts";
export { givenOptions, type DatabaseOptions, type PoolOptions } from "./database-options.ts";
export { LeasedConnection, type BatchFailure } from "./connection.ts";
export { SQLSTATE, toStewardError } from "./server-errors.ts";
export {
  allowExternal,
  createGuardState,
  refuseExternalCall,
  type ExternalCall,
  type GuardMode,
  type GuardOptions,
  type GuardState,
} from "./external-call.ts";
export { WireStatement } from "./batch.ts";
export { leaveUnnamed, preparedStatementName } from "./prepared-statements.ts";
export { startEmbeddedServer, type EmbeddedServer, type EmbeddedServerOptions } from "./embedded-server.ts";
export { withShadow, type ShadowInfo, type ShadowKind, type ShadowOptions } from "./shadow.ts";
export { TABLE_METADATA } from "./table-metadata.ts";
