// What a declared unit costs this process beside the bare wire: the same two statements, under the same names, as a raw
// batch. The raw batch builds no SQL, maps no rows to objects, checks no context, keeps no time limits.
import { Batch } from "../../dist/postgres/batch.js";
import { leaseForUnit, openDatabase, preparedStatementName, WireStatement } from "../../dist/postgres/index.js";
import { contextStatement, DEFAULT_LIMITS } from "../../dist/session/context.js";
import { createSessionFactory } from "../../dist/session/index.js";
import { UnitQuery } from "../../dist/session/unit-query.js";
import { eq, sql } from "../../node_modules/drizzle-orm/index.js";
import { pgsteward } from "../clients.mjs";
import { goal, interleave, medianOf, ratioOf, timed, withOpened } from "../measure.mjs";
import { own } from "../models.mjs";
import { randomItem, runUnit } from "../workload.mjs";

const OURS = "pgsteward run";
const PREPARED = "pgsteward prepare";
const KEPT = "raw batch, connection kept";
const LEASED = "raw batch, leased each time";
const UNITS = 300;
const WARM_UP_SLICES = 4;

async function open(url) {
  const db = await openDatabase({ url, pool: { size: 2 } });
  return { client: db, close: () => db.close() };
}
const library = { ...pgsteward, connect: open };

/** The statements of the unit, found by asking Drizzle once. */
async function statementsOf(sessions) {
  let select;
  await sessions.begin({}, (tx) => {
    const query = tx.select().from(own.items).where(eq(own.items.id, "00000000-0000-0000-0000-000000000000"));
    select = query.prepare("");
    if (!(select instanceof UnitQuery)) throw new Error("a select of a unit is prepared by UnitQuery no more");
  });
  const { text, types, rowMode } = select.statement;
  for (let seen = 0; seen < 2; seen++) preparedStatementName(text); // a text gets its name when it is seen again
  return (tenantId, id, serverVersion) => {
    const context = contextStatement({ tenantId }, "app", DEFAULT_LIMITS, serverVersion, false);
    return [
      new WireStatement(context, preparedStatementName(context.text)),
      new WireStatement({ text, types, rowMode, values: [id] }, preparedStatementName(text)),
    ];
  };
}

async function runRaw(connection, statements) {
  const batch = new Batch(statements);
  connection.client.query(batch);
  const outcome = await batch.outcome;
  if (outcome.kind !== "done") throw outcome.error;
  const [id, tenantId, , payload] = outcome.results[1].rows[0];
  return [{ id, tenantId, payload }];
}

function make(name, makeUnit) {
  return {
    name,
    version: library.version,
    async open(url) {
      const { client: db, close } = await open(url);
      const sessions = createSessionFactory(db, { role: "app", guard: "throw" });
      const { unit, stop = () => undefined } = await makeUnit(sessions, db);
      return {
        name,
        unit,
        close: async () => {
          stop();
          await close();
        },
      };
    },
  };
}

const contenders = [
  make(OURS, (sessions) => ({
    unit: (tenantId, id) => sessions.run({ tenantId }, (tx) => tx.select().from(own.items).where(eq(own.items.id, id))),
  })),
  make(PREPARED, (sessions) => {
    const itemById = sessions.prepare((tx) =>
      tx
        .select()
        .from(own.items)
        .where(eq(own.items.id, sql.placeholder("id"))),
    );
    return { unit: (tenantId, id) => itemById({ tenantId }, { id }) };
  }),
  make(LEASED, async (sessions, db) => {
    const statements = await statementsOf(sessions);
    return {
      async unit(tenantId, id) {
        const connection = await leaseForUnit(db, {}, "bench");
        try {
          return await runRaw(connection, statements(tenantId, id, connection.serverVersion));
        } finally {
          connection.release();
        }
      },
    };
  }),
  make(KEPT, async (sessions, db) => {
    const statements = await statementsOf(sessions);
    const connection = await leaseForUnit(db, {}, "bench");
    return {
      unit: (tenantId, id) => runRaw(connection, statements(tenantId, id, connection.serverVersion)),
      stop: () => connection.release(),
    };
  }),
];

export const processor = {
  name: "cpu",
  title: "processor time of a one-flush unit beside the raw batch of the same statements",
  contenders,
  async measure({ database, passes }) {
    const rounds = Math.max(10, Math.round(passes / 6));
    const slice = async (contender) => {
      const { elapsedMs, cpuMs } = await timed(async () => {
        for (let unit = 0; unit < UNITS; unit++) await runUnit(contender, randomItem(database.items));
      });
      return { cpuMicros: (cpuMs * 1000) / UNITS, elapsedMicros: (elapsedMs * 1000) / UNITS };
    };
    const figures = await withOpened(contenders, database.url, async (opened) => {
      for (let warm = 0; warm < WARM_UP_SLICES; warm++) for (const contender of opened) await slice(contender);
      return interleave(opened, rounds, slice);
    });
    const rows = contenders.map(({ name, version }) => ({
      library: name,
      version,
      cpuMicrosPerUnit: medianOf(figures, name, "cpuMicros"),
      cpuRatio: ratioOf(figures, name, KEPT, "cpuMicros"),
      elapsedMicros: medianOf(figures, name, "elapsedMicros"),
      elapsedRatio: ratioOf(figures, name, KEPT, "elapsedMicros"),
    }));
    return {
      tables: [
        { title: `direct, one unit at a time, ${rounds} rounds of ${UNITS} units. x: relative to ${KEPT}`, rows },
      ],
      goals: [
        goal(`processor time, prepared / ${KEPT}`, ratioOf(figures, PREPARED, KEPT, "cpuMicros"), "at most", 1.35),
        goal(`processor time, built each time / ${KEPT}`, ratioOf(figures, OURS, KEPT, "cpuMicros"), "at most", 1.35),
      ],
    };
  },
};
