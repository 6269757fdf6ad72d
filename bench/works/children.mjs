// 1,000 parents, each with its 20 children, as objects.
import { sql as kyselySql } from "kysely";
import { jsonArrayFrom } from "kysely/helpers/postgres";
import { contender, drizzle, kysely, pg, pgsteward, postgresJs, typeorm } from "../clients.mjs";
import { goal, interleave, medianOf, ratioOf, timed, withOpened } from "../measure.mjs";
import { own, peer, Step, Task } from "../models.mjs";

const PARENTS = 1_000;
const CHILDREN = 20;
const WARM_UP_RUNS = 8;
const OURS = "pgsteward related()";
const QUERY = "pgsteward query.findMany({ with })";
const BY_HAND = "pg by hand";

const ownSchema = { schema: own };
const peerSchema = { schema: peer };
const entities = { entities: [Task, Step] };

/** The rows of both tables as parents with their children. */
function grouped(tasks, steps, taskIdOf) {
  const byId = new Map();
  for (const task of tasks) byId.set(task.id, { ...task, steps: [] });
  for (const step of steps) byId.get(taskIdOf(step)).steps.push(step);
  return [...byId.values()];
}

const contenders = [
  contender(
    OURS,
    pgsteward,
    (sessions) => ({
      load: () =>
        sessions.begin({}, async (tx) => tx.related(own.tasks, await tx.select().from(own.tasks), { steps: true })),
    }),
    ownSchema,
  ),
  contender(
    QUERY,
    pgsteward,
    (sessions) => ({ load: () => sessions.run({}, (tx) => tx.query.tasks.findMany({ with: { steps: true } })) }),
    ownSchema,
  ),
  contender(
    "drizzle query.findMany({ with })",
    drizzle,
    (db) => ({ load: () => db.query.tasks.findMany({ with: { steps: true } }) }),
    peerSchema,
  ),
  // The children come through JSON: their times stay text.
  contender("kysely jsonArrayFrom", kysely, (db) => ({
    load: () =>
      db
        .selectFrom("tasks")
        .selectAll()
        .select((builder) =>
          jsonArrayFrom(
            builder
              .selectFrom("steps")
              .selectAll("steps")
              .where(kyselySql`steps.task_id`, "=", kyselySql`tasks.id`),
          ).as("steps"),
        )
        .execute(),
  })),
  // Its other strategy, relationLoadStrategy "query", did not end within a minute of processor time.
  contender(
    "typeorm relations",
    typeorm,
    (source) => ({ load: () => source.getRepository(Task).find({ relations: { steps: true } }) }),
    entities,
  ),
  contender("postgres.js two selects", postgresJs, (sql) => ({
    async load() {
      const tasks = await sql`select * from tasks`;
      const steps = await sql`select * from steps where task_id = any(${tasks.map(({ id }) => id)})`;
      return grouped(tasks, steps, (step) => step.task_id);
    },
  })),
  contender(BY_HAND, pg, (pool) => ({
    async load() {
      const { rows: tasks } = await pool.query("select * from tasks");
      const { rows: steps } = await pool.query("select * from steps where task_id = any($1)", [
        tasks.map(({ id }) => id),
      ]);
      return grouped(tasks, steps, (step) => step.task_id);
    },
  })),
];

export const children = {
  name: "children",
  title: `${PARENTS} parents with ${CHILDREN} children each`,
  contenders,
  async measure({ database, chosen, passes }) {
    const rounds = Math.max(5, Math.round(passes / 6));
    await database.asOwner(`
CREATE TABLE tasks (id uuid PRIMARY KEY, title text NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE steps (id uuid PRIMARY KEY, task_id uuid NOT NULL REFERENCES tasks, position int NOT NULL, title text NOT NULL, created_at timestamptz NOT NULL);
INSERT INTO tasks SELECT gen_random_uuid(), 'task ' || n, now() FROM generate_series(1, ${PARENTS}) AS n;
INSERT INTO steps SELECT gen_random_uuid(), t.id, n, 'step ' || n, now() FROM tasks AS t CROSS JOIN generate_series(1, ${CHILDREN}) AS n;
CREATE INDEX ON steps (task_id);
GRANT SELECT ON tasks, steps TO app;`);
    await database.asOwner("VACUUM ANALYZE tasks, steps");
    const figures = await withOpened(chosen, database.url, async (opened) => {
      for (const contender of opened) {
        check(contender.name, await contender.load());
        for (let run = 0; run < WARM_UP_RUNS; run++) await contender.load();
      }
      return interleave(opened, rounds, ({ load }) => timed(load));
    });
    const rows = chosen.map(({ name, version }) => ({
      library: name,
      version,
      elapsedMs: medianOf(figures, name, "elapsedMs"),
      elapsedRatio: ratioOf(figures, name, OURS, "elapsedMs"),
      cpuMs: medianOf(figures, name, "cpuMs"),
    }));
    const peers = rows.filter(({ library }) => ![OURS, QUERY, BY_HAND].includes(library));
    const [best] = peers.toSorted((a, b) => a.elapsedRatio - b.elapsedRatio);
    return {
      tables: [{ title: `direct, ${rounds} rounds. x: relative to ${OURS}`, rows }],
      goals:
        best === undefined ? [] : [goal(`speed / the best peer's (${best.library})`, best.elapsedRatio, "at least", 1)],
    };
  },
};

function check(name, tasks) {
  const isWhole = ({ steps }) =>
    steps.length === CHILDREN && new Set(steps.map(({ position }) => position)).size === CHILDREN;
  if (tasks.length !== PARENTS || !tasks.every(isWhole) || !tasks[0].steps[0].title.startsWith("step "))
    throw new Error(`${name} loaded something else: ${JSON.stringify(tasks[0])}`);
}
