// node recorder-overhead.mjs [--units 100] [--rounds 120] [--server URL of a superuser] [--json]
// What a recorder costs: the same unit with and without it, interleaved in slices of a hundred units in random order, as
// the ratio of processor time and of elapsed time per unit.
import { parseArgs } from "node:util";
import { eq } from "../node_modules/drizzle-orm/index.js";
import * as model from "../node_modules/drizzle-orm/pg-core/index.js";
import { createRecorder, createSessionFactory } from "../dist/session/index.js";
import { openDatabase } from "../dist/postgres/index.js";
import { median } from "./measure.mjs";
import { openBenchDatabase, randomItem, runUnit } from "./workload.mjs";

const { values: options } = parseArgs({
  options: {
    units: { type: "string", default: "100" },
    rounds: { type: "string", default: "120" },
    server: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const units = Number(options.units);
const rounds = Number(options.rounds);

const items = model.pgTable("items", {
  id: model.uuid("id").primaryKey(),
  tenantId: model.uuid("tenant_id").notNull(),
  title: model.text("title").notNull(),
  payload: model.jsonb("payload").notNull(),
  createdAt: model.timestamp("created_at", { withTimezone: true }).notNull(),
});

const bench = await openBenchDatabase(options.server);
const db = await openDatabase({ url: bench.url, pool: { size: 2 } });
const recorder = createRecorder();
const shapes = {
  run: (sessions) => (tenantId, id) =>
    sessions.run({ tenantId }, (tx) => tx.select().from(items).where(eq(items.id, id)), { name: "read" }),
  begin: (sessions) => (tenantId, id) =>
    sessions.begin({ tenantId }, async (tx) => await tx.select().from(items).where(eq(items.id, id)), { name: "read" }),
};
const off = createSessionFactory(db, { role: "app" });
const on = createSessionFactory(db, { role: "app", observers: [recorder] });

async function slice(unit) {
  const cpu = process.cpuUsage();
  const started = performance.now();
  for (let index = 0; index < units; index++) await runUnit({ name: "unit", unit }, randomItem(bench.items));
  const elapsedMs = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMicros: (user + system) / units, elapsedMicros: (elapsedMs * 1_000) / units };
}

try {
  const report = {};
  for (const [name, make] of Object.entries(shapes)) {
    const [without, withRecorder] = [make(off), make(on)];
    for (let warm = 0; warm < 3; warm++) {
      await slice(without);
      await slice(withRecorder);
    }
    const passes = [];
    for (let round = 0; round < rounds; round++) {
      const isFirst = Math.random() < 0.5;
      const first = await slice(isFirst ? withRecorder : without);
      const second = await slice(isFirst ? without : withRecorder);
      passes.push(isFirst ? { on: first, off: second } : { on: second, off: first });
    }
    report[name] = {
      cpuMicrosOff: median(passes.map((pass) => pass.off.cpuMicros)),
      cpuRatio: median(passes.map((pass) => pass.on.cpuMicros / pass.off.cpuMicros)),
      elapsedMicrosOff: median(passes.map((pass) => pass.off.elapsedMicros)),
      elapsedRatio: median(passes.map((pass) => pass.on.elapsedMicros / pass.off.elapsedMicros)),
    };
  }
  if (options.json) console.log(JSON.stringify(report, undefined, 2));
  else {
    console.log(`recorder on / off, median of ${rounds} pairs of ${units} units`);
    for (const [name, { cpuMicrosOff, cpuRatio, elapsedMicrosOff, elapsedRatio }] of Object.entries(report)) {
      console.log(
        `  ${name.padEnd(6)} processor ${cpuRatio.toFixed(3)} of ${cpuMicrosOff.toFixed(0)} us   elapsed ${elapsedRatio.toFixed(3)} of ${elapsedMicrosOff.toFixed(0)} us`,
      );
    }
  }
} finally {
  await recorder.close();
  await db.close();
  await bench.stop();
}
