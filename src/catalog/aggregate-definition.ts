// CREATE AGGREGATE for an aggregate as it was read; the server prints none.
import { identifier, literal } from "../postgres/index.ts";
import type { Aggregate, FinalModify } from "./aggregate.ts";
import type { Function } from "./model.ts";

const PARALLEL = { safe: "SAFE", restricted: "RESTRICTED", unsafe: undefined } as const;

/** `CREATE OR REPLACE AGGREGATE …`, complete. */
export function aggregateDefinition(fn: Function, aggregate: Aggregate): string {
  const { moving } = aggregate;
  const options: readonly (readonly [string, string | undefined])[] = [
    ["SFUNC", aggregate.transitionFunction],
    ["STYPE", aggregate.stateType],
    ["SSPACE", aggregate.stateSpace === 0 ? undefined : String(aggregate.stateSpace)],
    ["FINALFUNC", aggregate.finalFunction],
    ["FINALFUNC_EXTRA", flag(aggregate.finalTakesExtraArguments)],
    ["FINALFUNC_MODIFY", aggregate.finalFunction === undefined ? undefined : modify(aggregate.finalModify)],
    ["COMBINEFUNC", aggregate.combineFunction],
    ["SERIALFUNC", aggregate.serializeFunction],
    ["DESERIALFUNC", aggregate.deserializeFunction],
    ["INITCOND", text(aggregate.initialValue)],
    ["MSFUNC", moving?.transitionFunction],
    ["MINVFUNC", moving?.inverseFunction],
    ["MSTYPE", moving?.stateType],
    ["MSSPACE", moving === undefined || moving.stateSpace === 0 ? undefined : String(moving.stateSpace)],
    ["MFINALFUNC", moving?.finalFunction],
    ["MFINALFUNC_EXTRA", flag(moving?.finalTakesExtraArguments ?? false)],
    ["MFINALFUNC_MODIFY", moving?.finalFunction === undefined ? undefined : modify(moving.finalModify)],
    ["MINITCOND", text(moving?.initialValue)],
    ["SORTOP", aggregate.sortOperator === undefined ? undefined : operator(aggregate.sortOperator)],
    ["PARALLEL", PARALLEL[fn.parallel]],
    ["HYPOTHETICAL", flag(aggregate.kind === "hypothetical set")],
  ];
  const written = options.flatMap(([name, value]) =>
    value === undefined ? [] : [value === "" ? `  ${name}` : `  ${name} = ${value}`],
  );
  const args = fn.arguments === "" ? "*" : fn.arguments;
  return `CREATE OR REPLACE AGGREGATE ${identifier(fn.schema, fn.name)}(${args}) (\n${written.join(",\n")}\n)`;
}

function flag(isSet: boolean): string | undefined {
  return isSet ? "" : undefined;
}

function modify(value: FinalModify): string {
  return value.toUpperCase().replace(" ", "_");
}

function text(value: string | undefined): string | undefined {
  return value === undefined ? undefined : literal(value);
}

/** `schema.>` is written OPERATOR(schema.>). */
function operator(name: string): string {
  return name.includes(".") ? `OPERATOR(${name})` : name;
}
