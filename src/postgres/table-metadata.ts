// Where a model keeps what was said beside it. Sessions follow it and migrations build from it, and neither knows the other.

/**
 * The property of a Drizzle table that holds what `defineTable` was told about it. A registered symbol: models may be loaded by
 * another copy of the package than the one that reads them.
 */
export const TABLE_METADATA: unique symbol = Symbol.for("pgsteward.tableMetadata");
