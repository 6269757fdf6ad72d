// Brings a partitioned table to its policy: partitions ahead of time, rows of the default partition where they belong, old partitions
// retired. Every step is a short transaction of its own, and a run that was interrupted is simply run again.
import { literal } from "../../catalog/index.ts";
import {
  CancelledError,
  DeadlockError,
  identifier,
  InsufficientPrivilegeError,
  InvalidInputError,
  LockNotAvailableError,
  SQLSTATE,
  type Connection,
  type Database,
} from "../../postgres/index.ts";
import { requireOwnSession, withNamedLock } from "../named-lock.ts";
import type { AskedRight } from "../run/asked-rights.ts";
import { withRightsNamed } from "../run/missing-grant.ts";
import { pause } from "../run/runner-lock.ts";
import { readFamily, retiredComment, type Partition, type PartitionFamily } from "./family.ts";
import { isKeptByPartman, partmanStatements, readPartman, type Partman } from "./partman.ts";
import { planPartitions, type PartitionCreation, type PartitionObstacle } from "./plan-partitions.ts";
import type { PartitionPolicy, RangePolicy } from "./policy.ts";

export interface EnsurePartitionsOptions {
  /** Tells what would be done, and does nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** The time by which periods are counted. Default: now. */
  readonly now?: Date | undefined;
  /** `lock_timeout` of each step, in milliseconds. Default 2_000. */
  readonly lockTimeoutMs?: number | undefined;
  /** Tries of a step that did not get its locks. Default 5. */
  readonly retries?: number | undefined;
  /** Most rows that are moved out of the default partition for one new partition, while nobody can write them. Default 100_000. */
  readonly maxRowsMoved?: number | undefined;
  /** Limit of one step, in milliseconds. Default 300_000. */
  readonly timeoutMs?: number | undefined;
  /** How long to wait for another run on the table, in milliseconds. Default 2_000. */
  readonly waitMs?: number | undefined;
  /** Called for each detached partition before it is moved or dropped, e.g. to write it to a file. When it fails, the table stays. */
  readonly archive?: ((partition: { readonly schema: string; readonly name: string }) => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PartitionRun {
  readonly schema: string;
  readonly table: string;
  readonly isDryRun: boolean;
  readonly managedBy: "pgsteward" | "pg_partman";
  readonly created: readonly { readonly name: string; readonly bound: string; readonly rowsMoved: number }[];
  readonly retired: readonly { readonly schema: string; readonly name: string; readonly how: string }[];
  /** Partitions that were not made or retired, and why. */
  readonly notDone: readonly PartitionObstacle[];
  /** Rows that no other partition takes. */
  readonly defaultPartition: { readonly name: string; readonly hasRows: boolean } | undefined;
  /** What was run, or would be. */
  readonly statements: readonly string[];
}

/**
 * Makes the partitions that the policy asks for, moves the rows of the default partition that belong into them, and retires the old.
 *
 * A new partition is made beside the table and attached, which lets reads and writes of the table go on; CREATE … PARTITION OF would
 * stop them. DETACH is CONCURRENTLY unless there is a default partition, where PostgreSQL refuses that.
 *
 * @throws InvalidInputError when the table is not partitioned, or not as the policy says, for an option out of range, and behind a pooler
 * @throws LockNotAvailableError naming the holder, when another run works on the table
 */
export async function ensurePartitions(
  database: Database,
  policy: PartitionPolicy,
  options: EnsurePartitionsOptions = {},
): Promise<PartitionRun> {
  checkNumbers(options);
  await using connection = await database.connect({ signal: options.signal });
  requireOwnSession(connection, "changes of partitions");
  const name = `${policy.schema}.${policy.table}`;
  const refusal = {
    message: `another run works on the partitions of ${name}`,
    hint: "wait for it, or look at who it is",
  };
  const lock = { name: `partitions ${name}`, waitMs: options.waitMs ?? 2_000, refusal };
  const relation = { schema: policy.schema, name: policy.table };
  const asked: readonly AskedRight[] = [
    { on: "schema", name: policy.schema, rights: ["USAGE"] },
    { on: "owner", kind: "relation", name: relation },
    { on: "schema", name: policy.schema, rights: ["CREATE"] },
  ];
  return await withRightsNamed(connection, asked, () =>
    withNamedLock(connection, lock, () => new Ensure(connection, policy, options).run()),
  );
}

function checkNumbers(options: EnsurePartitionsOptions): void {
  for (const name of ["lockTimeoutMs", "retries", "maxRowsMoved", "timeoutMs", "waitMs"] as const) {
    const value = options[name];
    const most = 2 ** 31 - 2; // one more is asked for, to know whether there are more
    if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= most)) continue;
    throw new InvalidInputError(`${name} must be a whole number from 0 to ${most}, not ${String(value)}`);
  }
}

class Ensure {
  readonly #connection: Connection;
  readonly #policy: PartitionPolicy;
  readonly #options: EnsurePartitionsOptions;
  readonly #statements: string[] = [];
  readonly #created: { name: string; bound: string; rowsMoved: number }[] = [];
  readonly #retired: { schema: string; name: string; how: string }[] = [];
  readonly #notDone: PartitionObstacle[] = [];

  constructor(connection: Connection, policy: PartitionPolicy, options: EnsurePartitionsOptions) {
    this.#connection = connection;
    this.#policy = policy;
    this.#options = options;
  }

  async run(): Promise<PartitionRun> {
    const { schema, table } = this.#policy;
    const family = await readFamily(this.#connection, schema, table);
    const plan = planPartitions(family, this.#policy, this.#now);
    if (this.#options.dryRun !== true) await requireOwner(this.#connection, family);
    if (this.#policy.kind === "range") {
      const partman = await readPartman(this.#connection, family, this.#policy);
      if (partman !== undefined && isKeptByPartman(family, partman))
        return await this.#configurePartman(family, this.#policy, partman);
      await this.#finishRetiring(family, this.#policy);
    }
    this.#notDone.push(...plan.notDone);
    for (const creation of plan.create) await this.#create(family, creation);
    if (this.#policy.kind === "range")
      for (const partition of plan.retire) await this.#retire(family, partition, this.#policy);
    return this.#result(family, "pgsteward");
  }

  async #configurePartman(family: PartitionFamily, policy: RangePolicy, partman: Partman): Promise<PartitionRun> {
    const statements = partmanStatements(family, policy, partman, this.#now);
    await this.#step(async () => {
      for (const statement of statements) await this.#exec(statement);
    });
    if (this.#options.dryRun !== true) await this.#compare(family, policy);
    return this.#result(family, "pg_partman");
  }

  /** What pg_partman made and retired. */
  async #compare(before: PartitionFamily, policy: RangePolicy): Promise<void> {
    const after = await readFamily(this.#connection, policy.schema, policy.table);
    const without = (some: PartitionFamily, others: PartitionFamily): readonly Partition[] =>
      some.partitions.filter((one) => !others.partitions.some(({ name }) => name === one.name));
    for (const { name, boundText: bound } of without(after, before)) this.#created.push({ name, bound, rowsMoved: 0 });
    for (const { schema, name } of without(before, after))
      this.#retired.push({ schema, name, how: howRetired(policy) });
  }

  async #create(family: PartitionFamily, creation: PartitionCreation): Promise<void> {
    const { name, bound, condition } = creation;
    const parent = identifier(family.schema, family.table);
    const child = identifier(family.schema, name);
    const byDefault = defaultOf(family);
    let rowsMoved = 0;
    const isMade = await this.#step(async () => {
      rowsMoved = 0;
      // In this order everybody else takes them too.
      await this.#exec(`LOCK TABLE ONLY ${parent} IN SHARE UPDATE EXCLUSIVE MODE`);
      if (byDefault !== undefined)
        await this.#exec(`LOCK TABLE ${identifier(byDefault.schema, byDefault.name)} IN ACCESS EXCLUSIVE MODE`);
      const limit = this.#options.maxRowsMoved ?? 100_000;
      const found =
        byDefault === undefined || condition === undefined ? 0 : await this.#count(byDefault, condition, limit);
      if (found > limit) {
        this.#notDone.push({ name, why: `more than ${limit} rows of the default partition belong into it` });
        return false;
      }
      // Without identity: partitions get the parent's at ATTACH, and refuse to bring their own (PostgreSQL 17).
      await this.#exec(
        `CREATE TABLE ${child} (LIKE ${parent} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS)`,
      );
      await this.#exec(`ALTER TABLE ${child} OWNER TO ${identifier(family.owner)}`);
      if (byDefault !== undefined && condition !== undefined && found > 0)
        rowsMoved = await this.#move(byDefault, child, condition);
      await this.#exec(`ALTER TABLE ${parent} ATTACH PARTITION ${child} ${bound}`);
      return true;
    });
    if (isMade) this.#created.push({ name, bound, rowsMoved });
  }

  async #count(partition: Partition, condition: string, limit: number): Promise<number> {
    const { rows } = await this.#connection.query<{ found: number }>(
      `SELECT pg_catalog.count(*)::int4 AS found FROM (SELECT FROM ${identifier(partition.schema, partition.name)} WHERE ${condition} LIMIT $1::int4) AS r`,
      [limit + 1],
      { timeoutMs: this.#timeoutMs },
    );
    return rows[0]?.found ?? 0;
  }

  /** To the user's triggers the rows stay in the table: they are off meanwhile, under a lock that lets nobody else in. */
  async #move(from: Partition, child: string, condition: string): Promise<number> {
    const source = identifier(from.schema, from.name);
    const { rows: columns } = await this.#connection.query<{ name: string }>(COLUMNS_SQL, [from.schema, from.name]);
    const { rows: triggers } = await this.#connection.query<{ name: string }>(TRIGGERS_SQL, [from.schema, from.name]);
    const list = columns.map(({ name }) => identifier(name)).join(", ");
    for (const { name } of triggers) await this.#exec(`ALTER TABLE ${source} DISABLE TRIGGER ${identifier(name)}`);
    const move = `WITH moved AS (DELETE FROM ${source} WHERE ${condition} RETURNING ${list})
INSERT INTO ${child} (${list}) SELECT ${list} FROM moved`;
    this.#statements.push(move);
    const { rowCount } =
      this.#options.dryRun === true
        ? { rowCount: await this.#count(from, condition, 2 ** 31 - 2) }
        : await this.#connection.query(move, [], { timeoutMs: this.#timeoutMs });
    for (const { name } of triggers) await this.#exec(`ALTER TABLE ${source} ENABLE TRIGGER ${identifier(name)}`);
    return rowCount ?? 0;
  }

  /** Detaches a partition and does with it what the policy says. */
  async #retire(family: PartitionFamily, partition: Partition, policy: RangePolicy): Promise<void> {
    const parent = identifier(family.schema, family.table);
    const child = identifier(partition.schema, partition.name);
    const mark = `COMMENT ON TABLE ${child} IS ${literal(retiredComment(family.schema, family.table))}`;
    if (partition.isDetachPending) {
      await this.#alone(`ALTER TABLE ${parent} DETACH PARTITION ${child} FINALIZE`);
      await this.#step(() => this.#exec(mark));
    } else if (defaultOf(family) === undefined) {
      await this.#step(() => this.#exec(mark));
      try {
        await this.#alone(`ALTER TABLE ${parent} DETACH PARTITION ${child} CONCURRENTLY`);
      } catch (error) {
        if (!(error instanceof LockNotAvailableError)) throw error;
        this.#notDone.push({ name: partition.name, why: "it is in use: the next run finishes its detaching" });
        return;
      }
    } else {
      await this.#step(async () => {
        await this.#exec(mark);
        await this.#exec(`ALTER TABLE ${parent} DETACH PARTITION ${child}`);
      });
    }
    await this.#putAway(partition, policy);
  }

  /** What an earlier run detached and did not put away. */
  async #finishRetiring(family: PartitionFamily, policy: RangePolicy): Promise<void> {
    for (const partition of family.retired) await this.#putAway(partition, policy);
  }

  async #putAway(
    { schema, name }: { readonly schema: string; readonly name: string },
    policy: RangePolicy,
  ): Promise<void> {
    const child = identifier(schema, name);
    const retire = policy.retire ?? "detach";
    if (this.#options.dryRun !== true) await this.#options.archive?.({ schema, name });
    await this.#step(async () => {
      if (retire === "drop") {
        await this.#exec(`DROP TABLE ${child}`);
        return;
      }
      await this.#exec(`COMMENT ON TABLE ${child} IS NULL`);
      if (typeof retire === "object") {
        await this.#exec(`CREATE SCHEMA IF NOT EXISTS ${identifier(retire.moveTo)}`);
        await this.#exec(`ALTER TABLE ${child} SET SCHEMA ${identifier(retire.moveTo)}`);
      }
    });
    this.#retired.push({ schema, name, how: howRetired(policy) });
  }

  get #now(): number {
    return (this.#options.now ?? new Date()).getTime();
  }

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? 300_000;
  }

  /** One transaction, tried again when a lock was not to be had. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    return await this.#retried(async () => {
      await this.#real("BEGIN");
      await this.#real(`SET LOCAL lock_timeout = ${this.#options.lockTimeoutMs ?? 2_000}`);
      const result = await work();
      await this.#real("COMMIT");
      return result;
    });
  }

  /** Outside any transaction, and once: what an interrupted DETACH … CONCURRENTLY leaves is not to be begun again. */
  async #alone(statement: string): Promise<void> {
    await this.#real(`SET lock_timeout = ${this.#options.lockTimeoutMs ?? 2_000}`);
    try {
      await this.#exec(statement);
    } finally {
      await this.#real("RESET lock_timeout");
    }
  }

  async #retried<T>(work: () => Promise<T>): Promise<T> {
    const { signal, retries = 5 } = this.#options;
    const before = this.#statements.length;
    for (let attempt = 1; ; attempt++) {
      if (signal?.aborted === true) throw new CancelledError("stopped between two steps", { cause: signal.reason });
      try {
        return await work();
      } catch (error) {
        if (this.#connection.transactionStatus !== "idle") await this.#connection.exec("ROLLBACK");
        const isLock = error instanceof LockNotAvailableError || error instanceof DeadlockError;
        if (!isLock || attempt >= retries) throw error;
        this.#statements.length = before;
        await pause(100 * 2 ** attempt, signal);
      }
    }
  }

  async #exec(statement: string): Promise<void> {
    this.#statements.push(statement);
    await this.#real(statement);
  }

  async #real(statement: string): Promise<void> {
    if (this.#options.dryRun !== true) await this.#connection.exec(statement, { timeoutMs: this.#timeoutMs });
  }

  async #result(family: PartitionFamily, managedBy: PartitionRun["managedBy"]): Promise<PartitionRun> {
    const { schema, table } = this.#policy;
    const now = this.#options.dryRun === true ? family : await readFamily(this.#connection, schema, table);
    const byDefault = defaultOf(now);
    return {
      schema,
      table,
      isDryRun: this.#options.dryRun === true,
      managedBy,
      created: this.#created,
      retired: this.#retired,
      notDone: this.#notDone,
      defaultPartition: byDefault === undefined ? undefined : { name: byDefault.name, hasRows: now.hasDefaultRows },
      statements: this.#statements,
    };
  }
}

const COLUMNS_SQL = `
SELECT a.attname::text AS name
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
  AND c.relname = $2::text
  AND a.attnum > 0
  AND NOT a.attisdropped
  AND a.attgenerated = ''
ORDER BY a.attnum
LIMIT 2000`;

const TRIGGERS_SQL = `
SELECT t.tgname::text AS name
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
  AND c.relname = $2::text
  AND (NOT t.tgisinternal OR (t.tgparentid <> 0 AND t.tgconstrindid = 0))    -- before 15 those that come from the parent are internal
  AND t.tgenabled = 'O'
ORDER BY t.tgname
LIMIT 1000`;

/** What is made and attached needs the owner; the server says so of a lock in between, less clearly. */
async function requireOwner(connection: Connection, { table, owner }: PartitionFamily): Promise<void> {
  const { rows } = await connection.query<{ may: boolean }>("SELECT pg_catalog.pg_has_role($1::name, 'USAGE') AS may", [
    owner,
  ]);
  if (rows[0]?.may === true) return;
  throw new InsufficientPrivilegeError(`must be owner of table ${table}`, { sqlState: SQLSTATE.insufficientPrivilege });
}

function howRetired({ retire = "detach" }: RangePolicy): string {
  return typeof retire === "object" ? `moved to ${retire.moveTo}` : retire === "drop" ? "dropped" : "detached";
}

function defaultOf(family: PartitionFamily): Partition | undefined {
  return family.partitions.find(({ bound }) => bound.kind === "default");
}
