// The steps of a plan in forms that may run again, or where a part of them ran: each statement's own form, and what those before and
// after it make of it.
import type { Step } from "../plan-steps.ts";
import { parseStatement } from "../parse-statement.ts";
import { textOf } from "../syntax.ts";
import { commandsOf, effectsOf, type Effects } from "./effects.ts";
import { isAsMade } from "./made-types.ts";
import { literal } from "../../postgres/index.ts";
import { columnRow, isThere, refKey, regclass, withContainers, type ObjectRef } from "./objects.ts";
import { unlessInOrder } from "./parents.ts";
import { formOf, kindCondition, type Form, type PlainStatement } from "./statement.ts";
import { alterIfExists, doBlock } from "./words.ts";

/** A statement that must not run again, or fails when it does. */
export interface NotRepeatable {
  readonly sql: string;
  readonly why: string;
}

export interface IdempotentSteps {
  /** Statements outside a transaction may have one before them; groups are counted anew. */
  readonly steps: readonly Step[];
  /** Left as they are. */
  readonly notRepeatable: readonly NotRepeatable[];
}

interface Known {
  readonly step: Step;
  readonly statement: PlainStatement;
  readonly effects: Effects;
}

/**
 * Pure. Each statement comes in a form that does nothing where its work is done. An object of the same name counts as the same object:
 * nobody looks whether it is.
 *
 * @param steps - all of one way, in order: what is renamed or dropped later is looked for earlier
 */
export function idempotentSteps(steps: readonly Step[]): IdempotentSteps {
  const script = steps.map((step): Known => {
    const statement = { ...parseStatement(step.sql), sql: step.sql };
    return { step, statement, effects: effectsOf(statement) };
  });
  const made: Step[] = [];
  const notRepeatable: NotRepeatable[] = [];
  let group = 0;
  let last: number | undefined;
  for (const [position, { step, statement }] of script.entries()) {
    const form = formIn(script, position);
    if (form.before !== undefined) {
      group++;
      made.push(preparing(step, form.before, group));
      last = undefined;
    }
    if (last !== step.transactionGroup) group++;
    last = step.transactionGroup;
    const placed = { ...step, transactionGroup: group };
    if (form.first !== undefined)
      made.push({ ...placed, sql: form.first, hazards: [], reversal: "", backfill: undefined });
    const conditions = form.conditions ?? [];
    made.push({
      ...placed,
      sql: conditions.length === 0 ? form.sql : doBlock(conditions, form.sql, form.otherwise),
    });
    if (form.notRepeatable !== undefined) notRepeatable.push({ sql: statement.sql, why: form.notRepeatable });
  }
  return { steps: made, notRepeatable };
}

function preparing(step: Step, sql: string, transactionGroup: number): Step {
  return {
    ...step,
    sql,
    transactionGroup,
    inTransaction: true,
    locks: step.locks.map((lock) => ({ ...lock, mode: "ACCESS EXCLUSIVE", rewrite: false, scan: false })),
    hazards: [],
    reversal: "",
  };
}

function formIn(script: readonly Known[], position: number): Form {
  const known = script[position];
  if (known === undefined) return { sql: "" };
  const { step, statement, effects } = known;
  // A backfill's condition knows what is left.
  if (step.backfill !== undefined) return { sql: step.sql };
  if (effects.renames !== undefined) return renameForm(script, position, statement.sql, effects.renames);
  const form = dropForm(script, position, formOf(statement));
  if (form.notRepeatable !== undefined) return form;
  const own = columnConditions(script, position);
  const absent = absentLater(script, position).map(isThere);
  const conditions = [
    ...new Set([
      ...absent,
      ...own,
      ...trustedOnly(script, position),
      ...untypedOnly(script, position),
      ...unlessInOrder(
        script.map(({ statement: each }) => each),
        position,
      ),
      ...(form.conditions ?? []),
    ]),
  ];
  if (conditions.length === 0) return form;
  const isAlter = statement.kind === "AlterTableStmt";
  const isOnlyRelation = absent.length === conditions.length && absent.every((text) => text.includes("to_regclass("));
  if (isAlter && isOnlyRelation && absent.length === 1 && !absent.some((text) => text.startsWith("EXISTS"))) {
    const sql = alterIfExists(form.sql);
    if (sql !== form.sql) return { ...form, sql, conditions: [] };
  }
  return step.inTransaction
    ? { ...form, conditions }
    : { sql: step.sql, notRepeatable: "it refuses a DO block, and what it is about may be gone" };
}

/** What a statement needs and a later one takes away: on the next run it is not there. */
function absentLater(script: readonly Known[], position: number): readonly ObjectRef[] {
  const gone = new Set(
    script
      .slice(position + 1)
      .flatMap(({ effects: { drops, renames } }) => [...drops, ...(renames === undefined ? [] : [renames.from])])
      .map(refKey),
  );
  const there = new Set(script.slice(0, position).flatMap(({ effects }) => effects.makes.map(refKey)));
  // The constraint of a NOT NULL goes with it, under whatever name.
  const nullable = new Set(
    script.slice(position + 1).flatMap(({ statement, effects: { needs } }) => {
      const [relation] = needs;
      const isNullable =
        statement.kind === "AlterTableStmt" &&
        commandsOf(statement.node).some(({ subtype }) => subtype === "AT_DropNotNull");
      return isNullable && relation !== undefined ? [refKey(relation)] : [];
    }),
  );
  const mayGo = (ref: ObjectRef): boolean =>
    gone.has(refKey(ref)) ||
    (ref.kind === "constraint" && nullable.has(refKey({ kind: "relation", path: ref.path.slice(0, 2) })));
  const needed = script[position]?.effects.needs ?? [];
  const found = needed.flatMap(withContainers).filter((ref) => mayGo(ref) && !there.has(refKey(ref)));
  return [...new Map(found.map((ref) => [refKey(ref), ref])).values()];
}

/** A default belongs to a plain column: not to one that is an identity, or generated, by the end. */
function columnConditions(script: readonly Known[], position: number): readonly string[] {
  const known = script[position];
  if (known?.statement.kind !== "AlterTableStmt") return [];
  const [command] = commandsOf(known.statement.node);
  const [relation] = known.effects.needs;
  if (command?.subtype !== "AT_ColumnDefault" || relation === undefined) return [];
  const column: ObjectRef = { kind: "column", path: [...relation.path, command.name ?? ""] };
  const changes = script.slice(position + 1).some(({ statement, effects }) => {
    if (effects.makes.some((ref) => refKey(ref) === refKey(column))) return true;
    return (
      statement.kind === "AlterTableStmt" &&
      effects.needs.some((ref) => refKey(ref) === refKey(column)) &&
      commandsOf(statement.node).some(({ subtype }) => subtype === "AT_AddIdentity")
    );
  });
  return changes
    ? [`EXISTS (SELECT FROM ${columnRow(column.path)} AND a.attidentity = '' AND a.attgenerated = '')`]
    : [];
}

/** Columns of a table that is of a type by the end: they came before it. */
function untypedOnly(script: readonly Known[], position: number): readonly string[] {
  const [relation] = script[position]?.effects.needs ?? [];
  const hasCommand = ({ statement, effects }: Known, wanted: RegExp): boolean => {
    const [other] = effects.needs;
    if (statement.kind !== "AlterTableStmt" || relation === undefined || other === undefined) return false;
    return refKey(other) === refKey(relation) && commandsOf(statement.node).some(({ subtype }) => wanted.test(subtype));
  };
  const own = script[position];
  if (own === undefined || relation === undefined || !hasCommand(own, /^AT_(?:AddColumn|DropColumn|AlterColumnType)$/))
    return [];
  return script.slice(position + 1).some((later) => hasCommand(later, /^AT_AddOf$/))
    ? [`EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = ${regclass(relation.path)} AND c.reloftype = 0)`]
    : [];
}

/** GRANT and REVOKE on a language that is not trusted by the end, which refuses both. */
function trustedOnly(script: readonly Known[], position: number): readonly string[] {
  const known = script[position];
  if (known?.statement.kind !== "GrantStmt" || known.statement.node["objtype"] !== "OBJECT_LANGUAGE") return [];
  return known.effects.needs.flatMap((language) => {
    const isMadeAnew = script
      .slice(position + 1)
      .some(({ effects: { makes } }) => makes.some((ref) => refKey(ref) === refKey(language)));
    return isMadeAnew ? [isThere(language).replace(/\)$/, " AND o.lanpltrusted)")] : [];
  });
}

/** DROP, where the same script makes something of the same name again. */
function dropForm(script: readonly Known[], position: number, form: Form): Form {
  const known = script[position];
  if (known === undefined || known.effects.drops.length === 0) return form;
  const { step, statement, effects } = known;
  const [index] = effects.drops;
  if (statement.node["removeType"] === "OBJECT_INDEX" && index !== undefined && isKeyLater(script, position, index))
    return step.inTransaction
      ? { ...form, conditions: [notHeld(index)] }
      : { sql: step.sql, notRepeatable: "a constraint has its name afterwards, and CONCURRENTLY refuses a DO block" };
  const dropped = new Set(effects.drops.map(refKey));
  const again = script
    .slice(position + 1)
    .find(({ effects: { makes } }) => makes.some((ref) => dropped.has(refKey(ref))));
  if (again === undefined) return form;
  const isForeign = statement.node["removeType"] === "OBJECT_FOREIGN_TABLE";
  const losesData = !isForeign && step.hazards.some(({ kind }) => kind === "data loss");
  const [only] = effects.drops;
  if (only !== undefined && step.inTransaction && isHeld(statement, only, again.statement))
    return { ...form, conditions: [notHeld(only)] };
  if (only?.kind === "column" && effects.drops.length === 1) {
    const isGenerated = `EXISTS (SELECT FROM ${columnRow(only.path)} AND a.attgenerated <> '')`;
    if (!losesData) return { ...form, conditions: [isGenerated] };
    if (makesGenerated(again.statement, only))
      return { ...form, conditions: [isGenerated.replace(" <> '')", " = '')")] };
    return losing(statement.sql);
  }
  if (statement.kind !== "DropStmt") return form;
  if (classOf(statement) !== classOf(again.statement)) {
    const condition = kindCondition(statement);
    return condition === undefined || !step.inTransaction ? form : { ...form, conditions: [condition] };
  }
  return losesData ? losing(statement.sql) : form;
}

function isKeyLater(script: readonly Known[], position: number, { path }: ObjectRef): boolean {
  return script
    .slice(position + 1)
    .some(({ effects: { makes } }) =>
      makes.some((made) => made.kind === "constraint" && made.path[0] === path[0] && made.path[2] === path[1]),
    );
}

/** What another holds by then: the sequence of an identity, a key or an index that is attached. The server drops none of them. */
function isHeld({ node }: PlainStatement, dropped: ObjectRef, again: PlainStatement): boolean {
  if (dropped.kind === "constraint") return true;
  const type = node["removeType"];
  return type === "OBJECT_INDEX" || (type === "OBJECT_SEQUENCE" && again.kind === "AlterTableStmt");
}

function notHeld(ref: ObjectRef): string {
  const holder =
    ref.kind === "constraint"
      ? `pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = c.conindid WHERE c.conrelid = ${regclass(ref.path)} AND c.conname = ${literal(ref.path[2] ?? "")}`
      : `pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = ${regclass(ref.path)} AND d.deptype IN ('i', 'P')`;
  return `NOT EXISTS (SELECT FROM ${holder})`;
}

function losing(sql: string): Form {
  return {
    sql,
    notRepeatable: "another of the same name is made after it: run again, it drops that one with what it holds",
  };
}

function makesGenerated({ node }: PlainStatement, column: ObjectRef): boolean {
  return commandsOf(node).some(({ subtype, def }) => {
    if (subtype !== "AT_AddColumn" || textOf(def, "colname") !== column.path.at(-1)) return false;
    const constraints: unknown = def?.["constraints"];
    return JSON.stringify(constraints ?? []).includes('"CONSTR_GENERATED"');
  });
}

const CLASSES: Readonly<Record<string, string>> = {
  CreateStmt: "TABLE",
  ViewStmt: "VIEW",
  CreateTableAsStmt: "MATVIEW",
  CreateSeqStmt: "SEQUENCE",
  IndexStmt: "INDEX",
  CreateForeignTableStmt: "FOREIGN_TABLE",
  CreateDomainStmt: "DOMAIN",
  CreateEnumStmt: "TYPE",
  CreateRangeStmt: "TYPE",
  CompositeTypeStmt: "TYPE",
};

/** Kinds that share their names, and that DROP tells apart. */
function classOf({ kind, node }: PlainStatement): string {
  const type = textOf(node, kind === "DropStmt" ? "removeType" : "kind");
  if (type !== undefined && (kind === "DropStmt" || kind === "DefineStmt")) return type.replace(/^OBJECT_/, "");
  if (kind === "CreateFunctionStmt") return node["is_procedure"] === true ? "PROCEDURE" : "FUNCTION";
  return CLASSES[kind] ?? kind;
}

const HOLDS_DATA: ReadonlySet<string> = new Set(["relation", "column"]);

function renameForm(
  script: readonly Known[],
  position: number,
  sql: string,
  { from, to }: { readonly from: ObjectRef; readonly to: ObjectRef },
): Form {
  const conditions = [isThere(from), `NOT (${isThere(to)})`];
  const later = script.slice(position + 1);
  const isSame = (one: ObjectRef, other: ObjectRef): boolean => refKey(one) === refKey(other);
  // By the end another has this name: only as long as that one waits under its own does this rename remain to be done.
  const next = later.find(({ effects: { renames } }) => renames !== undefined && isSame(renames.to, from))?.effects
    .renames;
  if (next !== undefined) {
    const isOwn = script.some(({ effects: { renames } }) => renames !== undefined && isSame(renames.to, next.from));
    return isOwn
      ? { sql, notRepeatable: "names are exchanged: run again, they are exchanged back" }
      : { sql, conditions: [...conditions, isThere(next.from)] };
  }
  const again = later.find(({ effects }) => effects.makes.some((ref) => isSame(ref, from)));
  const isMadeAgain = again !== undefined;
  const isDropped = later.some(({ effects }) => effects.drops.some((ref) => isSame(ref, to)));
  if (HOLDS_DATA.has(from.kind) && isMadeAgain && isDropped) return losing(sql);
  const isNew = again === undefined ? undefined : isAsMade(again.statement);
  return { sql, conditions: isNew === undefined ? conditions : [...conditions, `NOT (${isNew})`] };
}
