// The names most programs need. Everything else is in the subpaths: pgsteward/session, /migrate, /catalog, /advise, /postgres.

// A database: one pool per URL and process.
export { openDatabase, identifier } from "./postgres/index.ts";
export type {
  Connection,
  Database,
  DatabaseOptions,
  Health,
  PoolFigures,
  PoolOptions,
  Queryable,
  QueryOptions,
  QueryResult,
  ServerFacts,
  Statement,
} from "./postgres/index.ts";

// Units of work: how agents read and write rows.
export { createSessionFactory, defineTable } from "./session/index.ts";
export type {
  SessionContext,
  SessionFactory,
  SessionFactoryOptions,
  SessionLimits,
  TableMetadata,
  UnitDatabase,
  UnitOptions,
} from "./session/index.ts";

// The rare call to the outside world that must happen inside a unit.
export { allowExternal } from "./postgres/index.ts";

// What a database looks like, and what is wrong with it.
export { readCatalog } from "./catalog/index.ts";
export type { Catalog } from "./catalog/index.ts";
export { checkCatalog, runCheck } from "./advise/index.ts";
export type { CheckConfig, CheckReport, Finding } from "./advise/index.ts";

// Settings in pgsteward.config.ts.
export { defineConfig } from "./config/index.ts";

// Errors: catch the base class, or the one that you can do something about.
export {
  StewardError,
  InvalidInputError,
  InvalidConfigurationError,
  MissingDependencyError,
  DatabaseError,
  IntegrityError,
  UniqueViolationError,
  ForeignKeyViolationError,
  CheckViolationError,
  NotNullViolationError,
  ExclusionViolationError,
  InvalidValueError,
  InvalidSqlError,
  SerializationFailureError,
  DeadlockError,
  LockNotAvailableError,
  StatementTimeoutError,
  TransactionTimeoutError,
  InsufficientPrivilegeError,
  ReadOnlyError,
  OutOfResourcesError,
  ServerError,
  CancelledError,
  ConnectionLostError,
  ConnectionRefusedError,
  AuthenticationFailedError,
  DatabaseNotFoundError,
  TooManyConnectionsError,
  DecodeFailedError,
  RowNotFoundError,
  StaleRowError,
  AcquireTimeoutError,
  QueueFullError,
  NestedCheckoutError,
  DatabaseClosedError,
  DatabaseAlreadyOpenError,
  FolderInUseError,
  FolderBrokenError,
  EmbeddedServerFailedError,
  NoShadowError,
  UnitClosedError,
  UnitFailedError,
  SilentRollbackError,
  CommitOutcomeUnknownError,
  RetriesExhaustedError,
  ExternalCallInUnitError,
  UnitTooLongError,
  DecryptionError,
  UnknownKeyError,
  MigrationEditedError,
  MigrationUnfinishedError,
  ReplicasBehindError,
  AddressInUseError,
  InternalError,
  type ErrorCode,
} from "./postgres/index.ts";
