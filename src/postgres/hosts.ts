// Several hosts in one URL: which of them is the server to use now. The driver knows one host only, and would write to, or
// fail on, whatever stands first.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { ClientConfig } from "pg";
import {
  AuthenticationFailedError,
  ConnectionRefusedError,
  DatabaseNotFoundError,
  InvalidInputError,
} from "./errors.ts";
import { toStewardError } from "./server-errors.ts";

/** libpq's names. `primary` and `read-write`: the one that can be written to; `standby` and `read-only`: a replica. */
export type TargetSession = "any" | "read-write" | "primary" | "read-only" | "standby" | "prefer-standby";
const TARGETS: readonly string[] = [
  "any",
  "read-write",
  "primary",
  "read-only",
  "standby",
  "prefer-standby",
] satisfies TargetSession[];

export interface HostList {
  /** The URL once per host. */
  readonly urls: readonly string[];
  readonly target: TargetSession;
}

/** How long one host may take to answer what it is. */
const PROBE_LIMIT_MS = 2_000;
/** A choice is looked at again after this long: a primary that was cut off does not end its connections by itself. */
const RECHECK_MS = 5_000;
const PAUSE_MS = 200;

// The name of the log file tells a primary's timeline at once; the control file tells it after the next checkpoint only.
const PROBE_SQL = `
SELECT
  r.is_replica,
  pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_read_only,
  CASE WHEN NOT r.is_replica THEN left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END AS timeline
FROM (SELECT pg_catalog.pg_is_in_recovery()) AS r (is_replica)`;

const URL_PARTS = /^(postgres(?:ql)?:\/\/)(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/s;

/**
 * The hosts of a URL like `postgres://user@a:5432,b:5433/app?target_session_attrs=primary`; `undefined` for a single host
 * without that parameter. Several hosts mean `read-write` when nothing is said (libpq would take any).
 *
 * @throws InvalidInputError for an unknown target, or an empty host in the list
 * @see https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
export function hostList(url: string): HostList | undefined {
  const [, scheme = "", login, authority = "", path = "", search = ""] = URL_PARTS.exec(url) ?? [];
  const parameters = new URLSearchParams(search);
  const target = parameters.get("target_session_attrs");
  const hosts = authority.split(",");
  if (target === null && hosts.length === 1) return undefined;
  if (target !== null && !TARGETS.includes(target)) {
    throw new InvalidInputError(`target_session_attrs=${target} is not known`, {
      hint: `known are ${TARGETS.join(", ")}`,
    });
  }
  if (hosts.some((host) => host === "" || host.startsWith(":")))
    throw new InvalidInputError("the database URL names an empty host", {
      hint: "write postgres://a:5432,b:5432/name",
    });
  parameters.delete("target_session_attrs");
  parameters.delete("load_balance_hosts");
  const rest = parameters.size === 0 ? "" : `?${parameters.toString()}`;
  return {
    urls: hosts.map((host) => `${scheme}${login === undefined ? "" : `${login}@`}${host}${path}${rest}`),
    target: (target ?? "read-write") as TargetSession,
  };
}

export interface Host {
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

interface Answer {
  readonly host: Host;
  readonly isReplica: boolean;
  readonly isReadOnly: boolean;
  readonly timeline: number;
}

/** Remembers which host is the right one, and looks again when that is in doubt. */
export class HostChooser {
  readonly #hosts: readonly Host[];
  readonly #target: TargetSession;
  readonly #login: ClientConfig;
  #current: Host | undefined;
  #lookedAt = 0;
  #looking: Promise<Host> | undefined;

  /** @param login - what a client needs beside the URL: password, application name */
  constructor({ urls, target }: HostList, login: ClientConfig) {
    this.#hosts = urls.map((url) => {
      const { host, port } = new pg.Client({ ...login, connectionString: url });
      return { url, host, port };
    });
    this.#target = target;
    this.#login = login;
  }

  /** Something spoke against the current choice: the next `choose` looks first. */
  doubt(): void {
    this.#current = undefined;
  }

  /**
   * The host to use now. While there is none (a failover is under way), it is looked for until the time is up.
   *
   * @throws ConnectionRefusedError that names each host and what is wrong with it
   */
  async choose(limitMs: number, signal: AbortSignal | undefined): Promise<Host> {
    const known = this.#current;
    if (known !== undefined) {
      // Nobody waits for this look; what it finds holds from the next choice on.
      if (Date.now() - this.#lookedAt > RECHECK_MS) this.#look().catch(() => undefined);
      return known;
    }
    for (const deadline = Date.now() + limitMs; ; await sleep(PAUSE_MS)) {
      try {
        return await this.#look();
      } catch (error) {
        const mayPass = !(error instanceof AuthenticationFailedError || error instanceof DatabaseNotFoundError);
        if (!mayPass || signal?.aborted === true || Date.now() + PAUSE_MS > deadline) throw error;
      }
    }
  }

  #look(): Promise<Host> {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #ask(): Promise<Host> {
    this.#lookedAt = Date.now();
    const outcomes = await Promise.allSettled(this.#hosts.map((host) => this.#probe(host)));
    const answers = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    const chosen = pickHost(answers, this.#target);
    this.#current = chosen?.host;
    if (chosen !== undefined) return chosen.host;
    const reasons = outcomes.map((outcome, index) => {
      const { host, port } = this.#hosts[index] ?? { host: "?", port: 0 };
      return `${host}:${port} ${outcome.status === "rejected" ? `(${toStewardError(outcome.reason).message})` : `is a ${outcome.value.isReplica ? "replica" : "primary"}${outcome.value.isReadOnly ? ", read-only" : ""}`}`;
    });
    const failures = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [toStewardError(outcome.reason)] : [],
    );
    // One login for all hosts: a wrong password is not the fault of a host, and waiting does not mend it.
    const refusal =
      failures.length === outcomes.length ? failures.find(({ code }) => code !== "CONNECTION_REFUSED") : undefined;
    if (refusal !== undefined) throw refusal;
    throw new ConnectionRefusedError(`no host can be used as ${this.#target}: ${reasons.join("; ")}`, {
      hint: "a failover may be under way: try again; else check the hosts in the URL and target_session_attrs",
    });
  }

  async #probe(host: Host): Promise<Answer> {
    const client = new pg.Client({
      ...this.#login,
      connectionString: host.url,
      connectionTimeoutMillis: PROBE_LIMIT_MS,
      query_timeout: PROBE_LIMIT_MS,
    });
    client.on("error", () => undefined); // the query's own rejection tells
    try {
      await client.connect();
      const { rows } = await client.query<{ is_replica: boolean; is_read_only: boolean; timeline: string | null }>(
        PROBE_SQL,
      );
      const [row] = rows;
      if (row === undefined) throw new Error("the server gave no answer");
      return {
        host,
        isReplica: row.is_replica,
        isReadOnly: row.is_read_only,
        timeline: row.timeline === null ? 0 : Number.parseInt(row.timeline, 16),
      };
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** Of several primaries the one that was promoted last: the other was cut off and does not know it yet. */
function pickHost(answers: readonly Answer[], target: TargetSession): Answer | undefined {
  const primaries = answers.filter(({ isReplica }) => !isReplica).toSorted((a, b) => b.timeline - a.timeline);
  const replica = answers.find(({ isReplica }) => isReplica);
  switch (target) {
    case "any":
      return answers[0];
    case "primary":
      return primaries[0];
    case "read-write":
      return primaries
        .filter((primary, _, [newest]) => primary.timeline === newest?.timeline)
        .find(({ isReadOnly }) => !isReadOnly);
    case "standby":
      return replica;
    case "read-only":
      return replica ?? answers.find(({ isReadOnly }) => isReadOnly);
    case "prefer-standby":
      return replica ?? answers[0];
  }
}
