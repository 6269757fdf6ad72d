// The Hermitage cases: what two or three units of work, put into one order, can see of each other at each isolation level.
// The outcomes are those that PostgreSQL documents; cases by Martin Kleppmann, https://github.com/ept/hermitage.

/** `id:value` of each row, or the SQLSTATE of the error, or the count of changed rows. */
export type Seen = string;

export interface Stage {
  /** Runs a statement in unit 1, 2 or 3 to its end. */
  run(unit: number, text: string): Promise<void>;
  /** Starts a statement that another unit must hold up; the case fails when it does not wait. */
  blocked(unit: number, text: string): Promise<void>;
  /** Waits for the end of what was blocked. */
  unblocked(unit: number): Promise<void>;
  commit(unit: number): Promise<void>;
  abort(unit: number): Promise<void>;
  /** What a bystander sees now. */
  outside(): Promise<void>;
}

export interface Case {
  readonly name: string;
  readonly play: (stage: Stage) => Promise<void>;
  /** What was seen, step by step: at read committed, repeatable read, serializable. */
  readonly seen: readonly [readonly Seen[], readonly Seen[], readonly Seen[]];
}

const UPDATE = (id: number, value: number): string =>
  `UPDATE test SET value = ${value} WHERE id = ${id} RETURNING id, value`;
/** All rows, in their order. */
export const ALL = "SELECT id, value FROM test ORDER BY id";
const ONE = (id: number): string => `SELECT id, value FROM test WHERE id = ${id}`;
const THIRDS = "SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id";

export const CASES: readonly Case[] = [
  {
    name: "G0: writes of two units do not mix",
    async play(stage) {
      await stage.run(1, UPDATE(1, 11));
      await stage.blocked(2, UPDATE(1, 12));
      await stage.run(1, UPDATE(2, 21));
      await stage.commit(1);
      await stage.unblocked(2);
      await stage.run(2, UPDATE(2, 22));
      await stage.commit(2);
      await stage.outside();
    },
    seen: [
      ["1:11", "2:21", "committed", "1:12", "2:22", "committed", "1:12 2:22"],
      ["1:11", "2:21", "committed", "40001", "UNIT_FAILED", "SILENT_ROLLBACK", "1:11 2:21"],
      ["1:11", "2:21", "committed", "40001", "UNIT_FAILED", "SILENT_ROLLBACK", "1:11 2:21"],
    ],
  },
  {
    name: "G1a: what is rolled back is never seen",
    async play(stage) {
      await stage.run(1, UPDATE(1, 101));
      await stage.run(2, ALL);
      await stage.abort(1);
      await stage.run(2, ALL);
      await stage.commit(2);
    },
    seen: repeat(["1:101", "1:10 2:20", "aborted", "1:10 2:20", "committed"]),
  },
  {
    name: "G1b: intermediate values are never seen",
    async play(stage) {
      await stage.run(1, UPDATE(1, 101));
      await stage.run(2, ALL);
      await stage.run(1, UPDATE(1, 11));
      await stage.commit(1);
      await stage.run(2, ALL);
      await stage.commit(2);
    },
    seen: [
      ["1:101", "1:10 2:20", "1:11", "committed", "1:11 2:20", "committed"],
      ["1:101", "1:10 2:20", "1:11", "committed", "1:10 2:20", "committed"],
      ["1:101", "1:10 2:20", "1:11", "committed", "1:10 2:20", "committed"],
    ],
  },
  {
    name: "G1c: information does not flow in a circle",
    async play(stage) {
      await stage.run(1, UPDATE(1, 11));
      await stage.run(2, UPDATE(2, 22));
      await stage.run(1, ONE(2));
      await stage.run(2, ONE(1));
      await stage.commit(1);
      await stage.commit(2);
    },
    seen: [
      ["1:11", "2:22", "2:20", "1:10", "committed", "committed"],
      ["1:11", "2:22", "2:20", "1:10", "committed", "committed"],
      ["1:11", "2:22", "2:20", "1:10", "committed", "40001"],
    ],
  },
  {
    name: "OTV: a unit that was seen does not vanish again",
    async play(stage) {
      await stage.run(1, UPDATE(1, 11));
      await stage.run(1, UPDATE(2, 19));
      await stage.blocked(2, UPDATE(1, 12));
      await stage.commit(1);
      await stage.unblocked(2);
      await stage.run(3, ONE(1));
      await stage.run(2, UPDATE(2, 18));
      await stage.run(3, ONE(2));
      await stage.commit(2);
      await stage.run(3, ONE(2));
      await stage.run(3, ONE(1));
      await stage.commit(3);
    },
    seen: [
      ["1:11", "2:19", "committed", "1:12", "1:11", "2:18", "2:19", "committed", "2:18", "1:12", "committed"],
      [
        "1:11",
        "2:19",
        "committed",
        "40001",
        "1:11",
        "UNIT_FAILED",
        "2:19",
        "SILENT_ROLLBACK",
        "2:19",
        "1:11",
        "committed",
      ],
      [
        "1:11",
        "2:19",
        "committed",
        "40001",
        "1:11",
        "UNIT_FAILED",
        "2:19",
        "SILENT_ROLLBACK",
        "2:19",
        "1:11",
        "committed",
      ],
    ],
  },
  {
    name: "PMP: rows that come to match a condition",
    async play(stage) {
      await stage.run(1, "SELECT id, value FROM test WHERE value = 30");
      await stage.run(2, "INSERT INTO test VALUES (3, 30) RETURNING id, value");
      await stage.commit(2);
      await stage.run(1, THIRDS);
      await stage.commit(1);
    },
    seen: [
      ["", "3:30", "committed", "3:30", "committed"],
      ["", "3:30", "committed", "", "committed"],
      ["", "3:30", "committed", "", "committed"],
    ],
  },
  {
    name: "PMP for writes: rows that come to match the condition of a DELETE",
    async play(stage) {
      await stage.run(
        1,
        "WITH done AS (UPDATE test SET value = value + 10 RETURNING id, value) SELECT * FROM done ORDER BY id",
      );
      await stage.blocked(2, "DELETE FROM test WHERE value = 20 RETURNING id, value");
      await stage.commit(1);
      await stage.unblocked(2);
      await stage.run(2, "SELECT id, value FROM test WHERE value = 20");
      await stage.commit(2);
      await stage.outside();
    },
    seen: [
      ["1:20 2:30", "committed", "", "1:20", "committed", "1:20 2:30"],
      ["1:20 2:30", "committed", "40001", "UNIT_FAILED", "SILENT_ROLLBACK", "1:20 2:30"],
      ["1:20 2:30", "committed", "40001", "UNIT_FAILED", "SILENT_ROLLBACK", "1:20 2:30"],
    ],
  },
  {
    name: "P4: lost update",
    async play(stage) {
      await stage.run(1, ONE(1));
      await stage.run(2, ONE(1));
      await stage.run(1, UPDATE(1, 11));
      await stage.blocked(2, UPDATE(1, 12));
      await stage.commit(1);
      await stage.unblocked(2);
      await stage.commit(2);
      await stage.outside();
    },
    seen: [
      ["1:10", "1:10", "1:11", "committed", "1:12", "committed", "1:12 2:20"],
      ["1:10", "1:10", "1:11", "committed", "40001", "SILENT_ROLLBACK", "1:11 2:20"],
      ["1:10", "1:10", "1:11", "committed", "40001", "SILENT_ROLLBACK", "1:11 2:20"],
    ],
  },
  {
    name: "P4 with FOR UPDATE: the second reader waits and sees the first one's value",
    async play(stage) {
      await stage.run(1, `${ONE(1)} FOR UPDATE`);
      await stage.blocked(2, `${ONE(1)} FOR UPDATE`);
      await stage.run(1, UPDATE(1, 11));
      await stage.commit(1);
      await stage.unblocked(2);
      await stage.commit(2);
    },
    seen: [
      ["1:10", "1:11", "committed", "1:11", "committed"],
      ["1:10", "1:11", "committed", "40001", "SILENT_ROLLBACK"],
      ["1:10", "1:11", "committed", "40001", "SILENT_ROLLBACK"],
    ],
  },
  {
    name: "G-single: read skew",
    async play(stage) {
      await stage.run(1, ONE(1));
      await stage.run(2, ALL);
      await stage.run(2, UPDATE(1, 12));
      await stage.run(2, UPDATE(2, 18));
      await stage.commit(2);
      await stage.run(1, ONE(2));
      await stage.commit(1);
    },
    seen: [
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "2:18", "committed"],
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "2:20", "committed"],
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "2:20", "committed"],
    ],
  },
  {
    name: "G-single with conditions",
    async play(stage) {
      await stage.run(1, "SELECT id, value FROM test WHERE value % 5 = 0 ORDER BY id");
      await stage.run(2, "UPDATE test SET value = 12 WHERE value = 10 RETURNING id, value");
      await stage.commit(2);
      await stage.run(1, THIRDS);
      await stage.commit(1);
    },
    seen: [
      ["1:10 2:20", "1:12", "committed", "1:12", "committed"],
      ["1:10 2:20", "1:12", "committed", "", "committed"],
      ["1:10 2:20", "1:12", "committed", "", "committed"],
    ],
  },
  {
    name: "G-single with a write condition",
    async play(stage) {
      await stage.run(1, ONE(1));
      await stage.run(2, ALL);
      await stage.run(2, UPDATE(1, 12));
      await stage.run(2, UPDATE(2, 18));
      await stage.commit(2);
      await stage.run(1, "DELETE FROM test WHERE value = 20 RETURNING id, value");
      await stage.commit(1);
      await stage.outside();
    },
    seen: [
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "", "committed", "1:12 2:18"],
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "40001", "SILENT_ROLLBACK", "1:12 2:18"],
      ["1:10", "1:10 2:20", "1:12", "2:18", "committed", "40001", "SILENT_ROLLBACK", "1:12 2:18"],
    ],
  },
  {
    name: "G2-item: write skew",
    async play(stage) {
      await stage.run(1, ALL);
      await stage.run(2, ALL);
      await stage.run(1, UPDATE(1, 11));
      await stage.run(2, UPDATE(2, 21));
      await stage.commit(1);
      await stage.commit(2);
      await stage.outside();
    },
    seen: [
      ["1:10 2:20", "1:10 2:20", "1:11", "2:21", "committed", "committed", "1:11 2:21"],
      ["1:10 2:20", "1:10 2:20", "1:11", "2:21", "committed", "committed", "1:11 2:21"],
      ["1:10 2:20", "1:10 2:20", "1:11", "2:21", "committed", "40001", "1:11 2:20"],
    ],
  },
  {
    name: "G2: write skew by conditions",
    async play(stage) {
      await stage.run(1, THIRDS);
      await stage.run(2, THIRDS);
      await stage.run(1, "INSERT INTO test VALUES (3, 30) RETURNING id, value");
      await stage.run(2, "INSERT INTO test VALUES (4, 42) RETURNING id, value");
      await stage.commit(1);
      await stage.commit(2);
      await stage.outside();
    },
    seen: [
      ["", "", "3:30", "4:42", "committed", "committed", "1:10 2:20 3:30 4:42"],
      ["", "", "3:30", "4:42", "committed", "committed", "1:10 2:20 3:30 4:42"],
      ["", "", "3:30", "4:42", "committed", "40001", "1:10 2:20 3:30"],
    ],
  },
  {
    name: "G2 with two edges: a reader between two writers",
    async play(stage) {
      await stage.run(1, ALL);
      await stage.run(2, "UPDATE test SET value = value + 5 WHERE id = 2 RETURNING id, value");
      await stage.commit(2);
      await stage.run(3, ALL);
      await stage.commit(3);
      await stage.run(1, UPDATE(1, 0));
      await stage.commit(1);
      await stage.outside();
    },
    seen: [
      ["1:10 2:20", "2:25", "committed", "1:10 2:25", "committed", "1:0", "committed", "1:0 2:25"],
      ["1:10 2:20", "2:25", "committed", "1:10 2:25", "committed", "1:0", "committed", "1:0 2:25"],
      ["1:10 2:20", "2:25", "committed", "1:10 2:25", "committed", "40001", "SILENT_ROLLBACK", "1:10 2:25"],
    ],
  },
];

function repeat(seen: readonly Seen[]): [readonly Seen[], readonly Seen[], readonly Seen[]] {
  return [seen, seen, seen];
}
