// An argument or option whose value is the empty text: a shell variable that is not set. As a path it would be the current folder.
import type { Command } from "commander";
import { InvalidInputError } from "../postgres/errors.ts";

/** Options whose empty value means something: nothing is confirmed, nobody is named, the empty text is a partition's value. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(["confirm", "actor", "why", "values"]);

/** @throws InvalidInputError that names the first empty argument or option */
export function refuseEmptyValues(command: Command): void {
  const args: readonly unknown[] = command.processedArgs;
  const names = command.registeredArguments.map((argument) => argument.name());
  const values: readonly (readonly [name: string, value: unknown])[] = [
    ...args.map((value, index) => [`the argument ${names[index] ?? index + 1}`, value] as const),
    ...Object.entries(command.optsWithGlobals<Record<string, unknown>>())
      .filter(([name]) => !MAY_BE_EMPTY.has(name))
      .map(([name, value]) => [`--${kebabCase(name)}`, value] as const),
  ];
  for (const [name, value] of values) {
    if (value !== "" && !(Array.isArray(value) && value.includes(""))) continue;
    throw new InvalidInputError(`${name} is empty`, {
      hint: "a shell variable that is not set gives an empty text; give a value, or leave it out",
    });
  }
}

function kebabCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
