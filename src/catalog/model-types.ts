// The types that a person makes most: enums, domains, composite types, ranges. Types only.
import type { ObjectBase } from "./model.ts";

export interface Enum extends ObjectBase {
  readonly labels: readonly string[];
}

export interface Domain extends ObjectBase {
  /** The type it stands on as written, which may be another domain. */
  readonly type: string;
  /** `format_type` of the type at the bottom. */
  readonly baseType: string;
  readonly isNullable: boolean;
  readonly default: string | undefined;
  readonly collation: string | undefined;
  readonly constraints: readonly {
    readonly name: string;
    readonly definition: string;
    readonly isValidated: boolean;
    readonly comment: string | undefined;
  }[];
}

export interface CompositeType extends ObjectBase {
  readonly attributes: readonly {
    readonly name: string;
    readonly type: string;
    readonly collation: string | undefined;
    readonly comment: string | undefined;
  }[];
}

/** Its multirange type belongs to it and is not listed elsewhere. Names as SQL. */
export interface RangeType extends ObjectBase {
  readonly subtype: string;
  readonly operatorClass: string;
  readonly isDefaultOperatorClass: boolean;
  readonly collation: string | undefined;
  readonly canonicalFunction: string | undefined;
  readonly differenceFunction: string | undefined;
  readonly multirangeName: string;
  readonly multirangeComment: string | undefined;
}
