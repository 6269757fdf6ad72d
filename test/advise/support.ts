// One database per test file; each case builds its schema `app` anew, reads the catalog and runs the check over it.
import { afterAll, beforeAll } from "vitest";
import { runCheck, type CheckConfig, type CheckReport, type Finding } from "../../src/advise/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

/** A rule's findings in the schema `app`, what was silenced, and how many objects the rule looked at. */
export interface CaseReport {
  readonly findings: readonly Finding[];
  readonly silenced: CheckReport["silenced"];
  readonly examined: number;
}

export interface RuleCases {
  readonly database: () => TestDatabase;
  /** Statements run one after the other; each may be a script. Those that CONCURRENTLY concerns stand alone. */
  readonly check: (setup: string | readonly string[], config?: CheckConfig) => Promise<CaseReport>;
  /** Checks again without building anything. */
  readonly checkAgain: (config?: CheckConfig) => Promise<CaseReport>;
  /** Runs the finding's fix and checks again. */
  readonly checkAfterFix: (finding: Finding | undefined, config?: CheckConfig) => Promise<CaseReport>;
}

/** Opens the file's database before its tests and closes it afterwards. */
export function ruleCases(ruleId: string): RuleCases {
  let opened: TestDatabase | undefined;
  const database = (): TestDatabase => {
    if (opened === undefined) throw new Error("the database of this file is not open yet");
    return opened;
  };
  beforeAll(async () => {
    opened = await testDatabase();
  });
  afterAll(async () => {
    await opened?.close();
  });
  const checkAgain = async (config: CheckConfig = {}): Promise<CaseReport> => {
    const report = await runCheck(database(), config);
    return {
      findings: report.findings.filter((finding) => finding.rule === ruleId),
      silenced: report.silenced.filter(({ finding }) => finding.rule === ruleId),
      examined: report.rules.find((rule) => rule.rule === ruleId)?.examined ?? 0,
    };
  };
  return {
    database,
    checkAgain,
    async check(setup, config) {
      await database().exec("DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app");
      for (const statement of typeof setup === "string" ? [setup] : setup) await database().exec(statement);
      return checkAgain(config);
    },
    async checkAfterFix(finding, config) {
      if (finding?.fix.sql === undefined) throw new Error("the finding has no fix to run");
      await database().exec(finding.fix.sql);
      return checkAgain(config);
    },
  };
}

/** `schema.table.name` of each finding's subject, without the schema `app`. */
export const subjectsOf = (findings: readonly Finding[]): string[] =>
  findings.map(({ subject }) => [subject.table, subject.name].filter((part) => part !== undefined).join("."));
