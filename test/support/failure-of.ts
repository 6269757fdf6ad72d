// The error a promise ends with, as a value: for work that goes on while the test does something else.

/** Resolves with the error; rejects when the work succeeds. */
export function failureOf(work: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(work).then(
    () => Promise.reject(new Error("it succeeded, and should have failed")),
    (error: unknown) => error,
  );
}
