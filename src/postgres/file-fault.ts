// What the file system refuses, as an error with a way out: a missing or wrong path, and rights, are no faults of the program.
import { InvalidInputError } from "./errors.ts";

const FAULTS: Readonly<Record<string, { readonly what: string; readonly hint: string }>> = {
  EEXIST: { what: "is there already", hint: "it is never written over: give another name or folder, or remove it" },
  ENOENT: { what: "does not exist", hint: "check the path" },
  ENOTDIR: { what: "is a file, or lies in one", hint: "give a folder" },
  EISDIR: { what: "is a folder", hint: "give a file" },
  EACCES: { what: "is closed to this user", hint: "give this user the right to it (chmod, chown), or another path" },
  EPERM: { what: "is closed to this user", hint: "give this user the right to it (chmod, chown), or another path" },
  EROFS: { what: "is on a file system that cannot be written", hint: "give a path that can be written" },
  ENOSPC: { what: "cannot be written: the disk is full", hint: "make room, then run it again" },
  ENAMETOOLONG: { what: "has a name that is too long", hint: "give a shorter one" },
  ELOOP: { what: "is a symbolic link that leads to itself", hint: "give the path of the file" },
  EMFILE: { what: "cannot be opened: too many files are open", hint: "raise the limit (ulimit -n)" },
};

/**
 * The refusal of the file system as an error of ours.
 *
 * @param path - as the person wrote it; default: the one the system names
 * @returns `undefined` for anything that the file system did not say about a path
 */
export function fileFault(thrown: unknown, path?: string): InvalidInputError | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code = "", syscall, path: own } = thrown as NodeJS.ErrnoException;
  const shown = path ?? own;
  if (syscall === undefined || syscall.startsWith("spawn") || shown === undefined) return undefined;
  const fault = FAULTS[code] ?? { what: `cannot be used (${code})`, hint: "check the path" };
  return new InvalidInputError(`${shown} ${fault.what}`, { cause: thrown, hint: fault.hint });
}

/** Does something with files; what the file system refuses is said with a way out. */
export function withFileFaults<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw fileFault(thrown, path) ?? thrown;
  }
}
