// Comments of what is made again, or of its copy.
import { literal } from "../../postgres/index.ts";

/** @param what - e.g. `INDEX "shop"."orders_state"` */
export function commentOn(what: string, comment: string | undefined): readonly string[] {
  return comment === undefined ? [] : [`COMMENT ON ${what} IS ${literal(comment)}`];
}
