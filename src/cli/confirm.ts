// Questions to a person at a terminal. Where there is none, nothing is asked: the command says which flag answers.
import { createInterface } from "node:readline/promises";
import { CancelledError, InvalidInputError } from "../postgres/index.ts";
import type { CommandContext } from "./context.ts";

/** Whether somebody can be asked: both ends of the conversation are a terminal, and the result is not read by a program. */
export function canAsk(context: CommandContext): boolean {
  return !context.output.json && process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks on stderr and returns the answer without blanks around it. */
export async function ask(context: CommandContext, question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await lines.question(question, { signal: context.signal })).trim();
  } catch (cause) {
    throw new CancelledError("nothing was answered", { cause });
  } finally {
    lines.close();
  }
}

/**
 * Lets data loss be confirmed by the name of what it is in.
 *
 * @param given - the value of `--confirm`
 * @throws InvalidInputError when it was not confirmed
 */
export async function confirmByName(
  context: CommandContext,
  name: string,
  given: string | undefined,
  losses: readonly string[],
): Promise<void> {
  if (losses.length === 0 || given === name) return;
  const list = losses.map((loss) => `  ${loss}`).join("\n");
  if (given === undefined && canAsk(context)) {
    const answer = await ask(context, `Data will be lost:\n${list}\nType ${name} to go on: `);
    if (answer === name) return;
    throw new InvalidInputError(`${JSON.stringify(answer)} is not ${name}: nothing was done`);
  }
  const wrong = given === undefined ? "" : `; --confirm ${given} is not its name`;
  throw new InvalidInputError(`data will be lost${wrong}\n${list}`, {
    hint: `to go on, confirm it by name: --confirm ${name}`,
  });
}
