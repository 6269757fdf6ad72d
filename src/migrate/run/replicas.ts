// Waits until the streaming replicas have replayed what a group wrote, so that the next one does not run away from them.
import {
  InsufficientPrivilegeError,
  ReplicasBehindError,
  SQLSTATE,
  identifier,
  type Row,
} from "../../postgres/index.ts";
import { tell, type PartRun } from "./part-run.ts";
import type { ReplicaLag } from "./run-options.ts";
import { pause } from "./runner-lock.ts";

const POLL_MS = 100;

interface ReplicaRow extends Row {
  readonly name: string;
  /** Null for a login that may not see it. */
  readonly behind: string | null;
  readonly role: string;
}

const REPLICAS_SQL = `
SELECT coalesce(nullif(r.application_name, ''), host(r.client_addr), r.pid::text) AS name,
  pg_catalog.pg_wal_lsn_diff($1::pg_lsn, r.replay_lsn) AS behind,
  CURRENT_USER AS role
FROM pg_catalog.pg_stat_replication AS r
WHERE r.state = 'streaming' OR r.state IS NULL
ORDER BY name`;

/**
 * Returns at once when nothing streams from this server, and on an embedded database.
 *
 * @throws ReplicasBehindError when one of them is behind for longer than `limitMs`; what was committed stays
 * @throws InsufficientPrivilegeError when the login may not see how far they are
 */
export async function waitForReplicas(run: PartRun, limitMs: number): Promise<void> {
  const { connection, options } = run;
  if (connection.database.kind !== "server") return;
  const { rows: now } = await connection.query<{ lsn: string }>("SELECT pg_catalog.pg_current_wal_lsn()::text AS lsn");
  const lsn = now[0]?.lsn ?? "0/0";
  const started = performance.now();
  for (let asked = 0; ; asked++) {
    const { rows } = await connection.query<ReplicaRow>(REPLICAS_SQL, [lsn]);
    const hidden = rows.find(({ behind }) => behind === null);
    if (hidden !== undefined)
      throw new InsufficientPrivilegeError(
        "this login may not see how far the replicas are",
        { sqlState: SQLSTATE.insufficientPrivilege },
        { hint: `GRANT pg_monitor TO ${identifier(hidden.role)}` },
      );
    const behind = rows
      .map(({ name, behind: bytes }): ReplicaLag => ({ name, behindBytes: Number(bytes) }))
      .filter(({ behindBytes }) => behindBytes > 0);
    if (behind.length === 0) return;
    if (performance.now() - started >= limitMs) {
      const { position, part } = { position: run.progress.position, part: run.part };
      throw new ReplicasBehindError(
        `after ${limitMs} ms ${behind.map(({ name, behindBytes }) => `the replica ${name} is ${behindBytes} bytes behind`).join(", ")}`,
        {
          hint: `${position} of ${part.statements.length} statements of ${run.migration.file} are committed; find out what holds the replica back, then run the same command again`,
        },
      );
    }
    // The first look comes right after the commit, when every replica is behind.
    if (asked > 0) tell(run, { kind: "waitingForReplicas", behind });
    await pause(POLL_MS, options.signal);
  }
}
