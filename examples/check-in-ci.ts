// The check as a library: fail a build when a schema has errors, and print each finding with its remedy.
//   npx tsx examples/check-in-ci.ts
import { openDatabase, runCheck } from "pgsteward";

await using database = await openDatabase("pglite:"); // or the database your migrations just built
await database.exec(`
  CREATE TABLE orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), placed_at timestamp NOT NULL);
  COMMENT ON TABLE orders IS 'One order of a customer';
`);

const report = await runCheck(database, {
  rules: { "timestamp-without-time-zone": "error", "standard-columns-missing": "off" },
});
for (const { severity, message, fix } of report.findings)
  console.log(`${severity}: ${message}\n  ${fix.sql ?? fix.description}`);
console.log(`tables: ${report.examined.tables}, errors: ${report.counts.error}`);
process.exitCode = report.counts.error > 0 ? 1 : 0;
