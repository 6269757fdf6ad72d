// What an aggregate consists of: the part of a function's description that only CREATE AGGREGATE says. Types only.

export type FinalModify = "read only" | "shareable" | "read write";

/** What `CREATE AGGREGATE` says; functions, operators and types as SQL, e.g. `pg_catalog.int4pl`. */
export interface Aggregate {
  readonly kind: "normal" | "ordered set" | "hypothetical set";
  readonly transitionFunction: string;
  readonly stateType: string;
  readonly stateSpace: number;
  readonly initialValue: string | undefined;
  readonly finalFunction: string | undefined;
  readonly finalTakesExtraArguments: boolean;
  readonly finalModify: FinalModify;
  readonly combineFunction: string | undefined;
  readonly serializeFunction: string | undefined;
  readonly deserializeFunction: string | undefined;
  readonly sortOperator: string | undefined;
  /** Moving-aggregate mode; `undefined` without it. */
  readonly moving:
    | {
        readonly transitionFunction: string;
        readonly inverseFunction: string;
        readonly stateType: string;
        readonly stateSpace: number;
        readonly initialValue: string | undefined;
        readonly finalFunction: string | undefined;
        readonly finalTakesExtraArguments: boolean;
        readonly finalModify: FinalModify;
      }
    | undefined;
}
