// Values for rows that are made up: for every type some texts that PostgreSQL reads as that type, the plainest first.
import type { Catalog } from "../../catalog/index.ts";

const HOUR_MS = 3_600_000;
const EPOCH_MS = Date.UTC(2024, 0, 1);
// High enough not to meet the ids that migrations write themselves, low enough for smallint.
const FIRST_NUMBER = 20_000;
const NUMBERS = 12_000;

/** Texts of each type of one catalog. Types are named as `format_type` prints them under an empty search_path. */
export class TypeSamples {
  readonly #labels = new Map<string, readonly string[]>();
  readonly #domains = new Map<string, string>();
  readonly #composites = new Map<string, readonly string[]>();
  readonly #ranges = new Map<string, string>();
  readonly #multiranges = new Map<string, string>();

  constructor(catalog: Catalog) {
    for (const { schema, name, labels } of catalog.enums) this.#labels.set(key(schema, name), labels);
    for (const { schema, name, type } of catalog.domains) this.#domains.set(key(schema, name), type);
    for (const { schema, name, attributes } of catalog.compositeTypes)
      this.#composites.set(
        key(schema, name),
        attributes.map(({ type }) => type),
      );
    for (const { schema, name, subtype, multirangeName } of catalog.ranges) {
      this.#ranges.set(key(schema, name), subtype);
      this.#multiranges.set(key(schema, multirangeName), key(schema, name));
    }
  }

  /** @param n - counts rows; other numbers give other texts where the type has room. Empty for a type that is not known. */
  of(type: string, n: number): readonly string[] {
    if (type.endsWith("[]")) {
      const element = this.of(type.replace(/(?:\[\])+$/, ""), n)[0];
      return element === undefined ? ["{}"] : [`{${quoted(element)}}`, "{}"];
    }
    const modifiers = (/\(([\d, ]+)\)/.exec(type)?.[1] ?? "")
      .split(",")
      .filter((part) => part !== "")
      .map(Number);
    const plain = builtIn(type.replace(/\([\d, ]+\)/, ""), modifiers, n);
    if (plain !== undefined) return plain;
    const name = keyOf(type);
    const labels = this.#labels.get(name);
    if (labels !== undefined) return labels.map((_, index) => labels[(index + n) % labels.length] ?? "");
    const domain = this.#domains.get(name);
    if (domain !== undefined) return this.of(domain, n);
    const attributes = this.#composites.get(name);
    if (attributes !== undefined) {
      const texts = attributes.map((attribute) => this.of(attribute, n)[0]);
      return [`(${texts.map((text) => (text === undefined ? "" : quoted(text))).join(",")})`];
    }
    const multirange = this.#multiranges.get(name);
    const subtype = this.#ranges.get(multirange ?? name);
    if (subtype === undefined) return ofExtension(name, modifiers, n);
    const [low] = this.of(subtype, n);
    const range = low === undefined ? "empty" : `[${quoted(low)},${quoted(low)}]`;
    return multirange === undefined ? [range, "empty"] : [`{${range}}`, "{}"];
  }

  /** The labels, when the type is an enum. */
  labels(type: string): readonly string[] | undefined {
    return this.#labels.get(keyOf(type));
  }

  isText(type: string): boolean {
    const base = this.#domains.get(keyOf(type)) ?? type;
    if (base.endsWith("[]")) return false;
    return /^(?:text|character|character varying|name|bpchar)\b/.test(base) || /(?:^|\.)citext$/.test(base);
  }

  /** Of an array. */
  elementOf(type: string): string | undefined {
    const base = this.baseOf(type);
    return base.endsWith("[]") ? base.replace(/(?:\[\])+$/, "") : undefined;
  }

  /** What a domain stands on; the type itself for every other. */
  baseOf(type: string): string {
    const base = this.#domains.get(keyOf(type));
    return base === undefined ? type : this.baseOf(base);
  }
}

/** Inside an array, a composite or a range. */
export function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', String.raw`\"`)}"`;
}

function key(schema: string, name: string): string {
  return `${schema}.${name}`;
}

/** `public."Mood"` → `public.Mood`. */
function keyOf(type: string): string {
  return type.replace(/\(.*\)$/, "").replaceAll(/"((?:[^"]|"")*)"/g, (_, name: string) => name.replaceAll('""', '"'));
}

const at = (n: number): Date => new Date(EPOCH_MS + n * HOUR_MS);

function builtIn(type: string, modifiers: readonly number[], n: number): readonly string[] | undefined {
  const number = String(FIRST_NUMBER + (n % NUMBERS));
  const [first, second = 0] = modifiers;
  const day = new Date(EPOCH_MS + (n % 3_000) * 24 * HOUR_MS).toISOString().slice(0, 10);
  const time = `${String(n % 24).padStart(2, "0")}:${String(n % 60).padStart(2, "0")}:00`;
  const moment = at(n).toISOString().replace("T", " ").replace("Z", "");
  const hex = (n + 1).toString(16);
  switch (type) {
    case "smallint":
    case "integer":
    case "bigint":
    case "oid":
      return [number, "1", "0", "2", "5", "10", "50", "100", "-1"];
    case "numeric":
    case "money": {
      const digits = first === undefined ? 6 : Math.max(0, first - second);
      const whole = digits === 0 ? 0 : (n + 1) % 10 ** Math.min(digits, 6);
      return [
        whole === 0 && second > 0 ? `0.${"1".padStart(second, "0")}` : String(whole),
        "0",
        "1",
        "0.5",
        "10",
        "50",
      ];
    }
    case "real":
    case "double precision":
      return [`${n + 1}.5`, "0", "1", "0.5", "45", "-1"];
    case "text":
    case "character varying":
    case "name":
      return texts(n, first);
    case "character":
      return texts(n, first ?? 1);
    case "bpchar":
      return texts(n, undefined);
    case '"char"':
      return [String.fromCodePoint(97 + (n % 26))];
    case "boolean":
      return n % 2 === 0 ? ["true", "false"] : ["false", "true"];
    case "date":
      return [day, "2999-01-01", "1990-01-01"];
    case "time without time zone":
    case "time with time zone":
      return [time];
    case "timestamp without time zone":
    case "timestamp with time zone":
      return [moment, "2999-01-01 00:00:00", "1990-01-01 00:00:00"];
    case "uuid":
      return [`00000000-0000-4000-8000-${hex.padStart(12, "0")}`];
    case "json":
    case "jsonb":
      return [`{"sample": ${n}}`, "{}", "[]", '"sample"', "1"];
    case "bytea":
      return [
        String.raw`\x${hex.padStart(8, "0")}`,
        String.raw`\x${hex.padStart(64, "0")}`,
        String.raw`\x${hex.padStart(40, "0")}`,
      ];
    case "inet":
      return [`10.0.${(n >> 8) % 256}.${n % 256}`];
    case "cidr":
      return [`10.${(n >> 8) % 256}.${n % 256}.0/24`];
    case "macaddr":
    case "macaddr8":
      return [
        `02:00:00:00:${((n >> 8) % 256).toString(16).padStart(2, "0")}:${(n % 256).toString(16).padStart(2, "0")}`,
      ];
    case "bit":
      return [
        n
          .toString(2)
          .slice(-(first ?? 1))
          .padStart(first ?? 1, "0"),
      ];
    case "bit varying":
      return [n.toString(2).slice(-(first ?? 32))];
    case "xml":
      return [`<sample n="${n}"/>`];
    case "tsvector":
      return [`'sample':1 'n${n}':2`];
    case "tsquery":
      return ["'sample'"];
    case "point":
      return [`(${n},1)`];
    case "line":
      return [`{1,1,${n}}`];
    case "lseg":
    case "box":
      return [`(${n + 1},1),(${n},0)`];
    case "path":
    case "polygon":
      return [`((${n},0),(${n},1),(${n + 1},1))`];
    case "circle":
      return [`<(${n},1),1>`];
    case "int4range":
    case "int8range":
    case "numrange":
      return [`[${FIRST_NUMBER + n * 2},${FIRST_NUMBER + n * 2 + 1})`, "empty"];
    case "int4multirange":
    case "int8multirange":
    case "nummultirange":
      return [`{[${n * 2},${n * 2 + 1})}`, "{}"];
    case "daterange":
      return [`[${day},${day}]`, "empty"];
    case "tsrange":
    case "tstzrange":
      return [
        `["${moment}","${at(n + 1)
          .toISOString()
          .replace("T", " ")
          .replace("Z", "")}")`,
        "empty",
      ];
    case "datemultirange":
    case "tsmultirange":
    case "tstzmultirange":
      return ["{}"];
    case "pg_lsn":
      return [`0/${hex.toUpperCase()}`];
    case "jsonpath":
      return ["$.sample"];
    case "regclass":
      return ["pg_catalog.pg_class"];
    case "regtype":
      return ["integer"];
    case "regproc":
      return ["pg_catalog.now"];
    case "regrole":
      return ["0"];
    case "txid_snapshot":
    case "pg_snapshot":
      return ["1:1:"];
    case "xid":
    case "xid8":
    case "cid":
      return [String(n + 1)];
    case "tid":
      return [`(0,${n + 1})`];
    default:
      return type.startsWith("interval") ? [`${n + 1} hours`, "1 day", "0"] : undefined;
  }
}

function texts(n: number, limit: number | undefined): readonly string[] {
  const hex = (n + 1).toString(16);
  const all = [
    `sample ${n}`,
    `sample-${n}`,
    `sample_${n}`,
    `sample${n}`,
    `user${n}@example.com`,
    `https://example.com/${n}`,
    `/sample/${n}`,
    `example${n}.com`,
    `SAMPLE${n}`,
    n.toString(36),
    String.fromCodePoint(97 + (n % 26)),
    String.fromCodePoint(65 + (n % 26)),
    String(n % 10),
    "en",
    "US",
    "USD",
    "en-US",
    "#aabbcc",
    `+4915112${String(n).padStart(6, "0")}`,
    "2024-01-01",
    "1.0.0",
    "12:00",
    `00000000-0000-4000-8000-${hex.padStart(12, "0")}`,
    hex.padStart(64, "0"),
    hex.padStart(40, "0"),
    hex.padStart(32, "0"),
    "{}",
    "",
  ];
  if (limit === undefined) return all;
  const fitting = all.filter((text) => text.length <= limit);
  const short = n.toString(36).slice(-limit);
  return (all[0]?.length ?? 0) <= limit ? fitting : [short.padStart(Math.min(limit, 4), "x"), ...fitting];
}

/** Types of extensions, whose schema is the user's choice. */
function ofExtension(name: string, [first]: readonly number[], n: number): readonly string[] {
  switch (name.slice(name.lastIndexOf(".") + 1)) {
    case "citext":
      return texts(n, undefined);
    case "hstore":
      return [`"sample"=>"${n}"`];
    case "ltree":
      return [`sample.n${n}`];
    case "lquery":
      return ["sample.*"];
    case "cube":
      return [`(${n})`];
    case "vector":
    case "halfvec":
      return [`[${Array.from({ length: first ?? 3 }, (_, index) => (index === 0 ? n + 1 : 0)).join(",")}]`];
    case "sparsevec":
      return [`{1:${n + 1}}/${first ?? 3}`];
    case "geometry":
    case "geography":
      return [`POINT(${n % 90} 1)`];
    default:
      return [];
  }
}
