// SQL files and migrations: reading, splitting, loading into a throw-away database, running with a history.
export { loadSqlFiles, parseSqlFiles, requiredExtensions, type LoadedSql, type ParsedSqlFile } from "./load-sql.ts";
export { readSqlFiles, type SqlFile } from "./sql-files.ts";
export { parseSqlScript, type ScriptStatement, type SqlScript } from "./sql-script.ts";
export { parseMigration, readMigrations, type Migration, type MigrationPart } from "./migration-files.ts";
export { pendingMigrations, type MigrationState, type MigrationStatus } from "./run/compare-history.ts";
export type { AppliedMigration } from "./run/history.ts";
export { findDataLoss, type DataLoss } from "./run/data-loss.ts";
export { readDataLoss, type MigrationLosses } from "./run/read-data-loss.ts";
export { baselineMigrations, repairMigration, type Repair } from "./run/repair.ts";
export {
  previewMigrations,
  readMigrationHistory,
  readMigrationStatus,
  redoMigrations,
  revertMigrations,
  runMigrations,
  type MigrationsReport,
  type PlannedMigration,
} from "./run/run-migrations.ts";
export {
  PLATFORM_HISTORY,
  type HistoryTable,
  type MigrationDirection,
  type MigrationEvent,
  type MigrationRun,
  type RanMigration,
  type ReplicaLag,
  type RunMigrationsOptions,
} from "./run/run-options.ts";
export {
  migrateTenants,
  readTenantSchemas,
  type MigrationTenant,
  type TenantOutcome,
  type TenantReport,
  type TenantsOptions,
} from "./run/tenants.ts";
export { lintSql, NEWEST_SERVER_VERSION } from "./lint.ts";
export type { LintConfig, LintFinding, LintLock, LintOptions, LintReport } from "./lint-report.ts";
export type { LintFile } from "./lint-files.ts";
export { MIGRATION_TOOLS, type MigrationTool, type TransactionScope } from "./adopt/tools.ts";
export { LINT_RULES } from "./lint-rules/index.ts";
export type { LintRule, LintSeverity, RuleContext, RuleMatch } from "./lint-rules/rule.ts";
export { planMigration, type Plan, type PlanOptions } from "./plan.ts";
export { renameCandidates, type RenameCandidate } from "./rename-candidates.ts";
export { reverseRenames } from "./plan-renames.ts";
export { parseRename, readRenameHints, RENAME_KINDS, renameText, type Rename, type RenameKind } from "./renames.ts";
export type { Step } from "./plan-steps.ts";
export type { StepLock } from "./plan-locks.ts";
export { LOCK_MODES, type LockMode } from "./locks.ts";
export type { Hazard } from "./rules/statement.ts";
export { runBackfill } from "./backfill/run-backfill.ts";
export type { BackfillDefinition } from "./backfill/definition.ts";
export type { BackfillOptions, BackfillProgress, BackfillResult } from "./backfill/options.ts";
export { readBackfills, type BackfillRecord } from "./backfill/store.ts";
export type { BackfillThrottle } from "./backfill/throttle.ts";
export {
  readMigrationFolder,
  type AdoptedMigration,
  type MigrationFolder,
  type MigrationScript,
  type ReadMigrationFolderOptions,
} from "./adopt/folder.ts";
export {
  readSource,
  readSources,
  withLoadedSource,
  type ReadSourceOptions,
  type Source,
  type SourceRead,
  type SourcesRead,
  type SqlSource,
} from "./source/source.ts";
export type { ModelCasing } from "./source/model-text.ts";
export {
  describeChange,
  describeObject,
  draftMigration,
  inGroups,
  migrationName,
  repeatLines,
  summaryOf,
  withLockLimit,
  writeMigration,
  type MigrationDraft,
  type WrittenMigration,
} from "./write-migration.ts";
export { idempotentSteps, type IdempotentSteps, type NotRepeatable } from "./idempotent/steps.ts";
export { verifyMigrations, type VerifyOptions, type VerifyProgress } from "./verify/verify.ts";
export type {
  Verdict,
  VerifiedMigration,
  VerifyFinding,
  VerifyReport,
  VerifyRule,
  VerifySeverity,
} from "./verify/report.ts";
export type { LostData } from "./verify/fingerprints.ts";
export type { UnseededTable } from "./verify/seeds.ts";
export { planExpandContract } from "./expand/plan-expand-contract.ts";
export type { ExpandChange, ExpandGroup, ExpandPhase, ExpandPlan } from "./expand/change.ts";
export { formatExpandPhase, writeExpandMigrations } from "./expand/format-phase.ts";
export { readExpandChange } from "./expand/read-change.ts";
export { planDropInTwoReleases, planForgetKept } from "./drop/plan-drop.ts";
export type { DropChange, DropPlan } from "./drop/drop-parts.ts";
export { readDropChange } from "./drop/read-drop.ts";
export { planRoles, type PlanRolesOptions, type RoleNames, type RolesPlan } from "./roles/plan-roles.ts";
export { checkRole, type CheckRoleOptions } from "./roles/check-role.ts";
export type { AccessLevel } from "./roles/levels.ts";
export type { RoleFinding, RoleReport, RoleRule, RoleSeverity } from "./roles/finding.ts";
export { readRoles, type ReadRolesOptions, type ServerRole, type ServerRoles } from "./roles/read-roles.ts";
export { withoutRecords } from "./source/records.ts";
export {
  durationText,
  estimatePlan,
  tableSizes,
  WORK_RATES,
  type EstimateOptions,
  type LockEstimate,
  type PlanEstimate,
  type StepEstimate,
  type TableSize,
  type TableSizes,
  type WorkRates,
} from "./estimate.ts";
export { ensurePartitions, type EnsurePartitionsOptions, type PartitionRun } from "./partitions/ensure-partitions.ts";
export { readPartitions, type PartitionStatus } from "./partitions/partition-status.ts";
export type { PartitionObstacle } from "./partitions/plan-partitions.ts";
export type { HashPolicy, ListPolicy, PartitionPolicy, Period, RangePolicy } from "./partitions/policy.ts";
export { readRenamed } from "./source/renamed.ts";
export {
  planPartitionConversion,
  type PartitionBy,
  type PartitionConversion,
  type PartitionConversionPlan,
} from "./partitions/plan-conversion.ts";
export { rehearsePlan, type Rehearsal, type RehearsalOptions, type RehearsedStep } from "./rehearse.ts";
