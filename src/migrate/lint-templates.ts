// SQL that is no SQL yet: variables and templates of other tools are filled in so that the rest can be linted, and what another
// database or tool wrote is told by its marks, so that a syntax error says what to do.

/**
 * psql's `:name`, `:'name'` and `:"name"`, and what migration tools, template engines and drivers put values into, as names, strings
 * and numbers of the same length; directives of a template, its comments and other files that are put in, as blanks. Casts, slices and
 * assignments are no variables.
 */
export function fillVariables(text: string): string {
  return text
    .replaceAll(BLANKED, (form) => form.replaceAll(/[^\n]/g, " "))
    .replaceAll(NAMED, (form) => form.replaceAll(/\W/g, "_"))
    .replaceAll(/(?<=[=(,<>]\s*)\?(?=\s*(?:[,);\s]|$))/g, "0")
    .replaceAll(/(?<![:\w\])]):(["'])(\w+)\1/g, (_, quote: string, name: string) => `${quote}v${name}${quote}`)
    .replaceAll(/(?<![:\w\])"']):([A-Za-z_]\w*)/g, "v$1");
}

/** Jinja's `{% … %}`, `{# … #}` and `{{ config(…) }}`, ERB's `<% … %>`, Go's `{{ template … }}`, `{{ if … }}`. */
const BLANKED =
  /\{%[\s\S]*?%\}|\{#[\s\S]*?#\}|<%(?![=-]?=)[\s\S]*?%>|\{\{-?\s*(?:template\b|config\s*\(|log\s*\(|(?:if|else|end|range|with|define|block)\b)[^{}]*\}\}/g;

/** `{{ name }}`, `{{{name}}}`, `<%= name %>`, `${name}`, `#{name}`, `$NAME`, `{name}`, `@name@`, `%(name)s`, `%s`. */
const NAMED =
  /\{\{\{?[^{}\n]*\w[^{}\n]*\}\}\}?|<%[=-]?=[^%\n]*%>|[$#]\{[\w.:-]+\}|(?<![\w$])\$[A-Za-z_]\w*(?![\w$])|\{[A-Za-z_]\w*\}|@[A-Za-z_]\w*@|%\(\w+\)s|%s\b/g;

/** Marks of what is not PostgreSQL's SQL, each with what to do. The first that the file has is told. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(?:<{7} |={7}\r?$|>{7} )/m, "the file has the marks of a merge conflict: settle it"],
  [/^version https:\/\/git-lfs\./, "this is a pointer of Git LFS: fetch the file itself (git lfs pull)"],
  [/\{%|\{\{|<%/, "this is a template: render it first, e.g. by `dbt compile`, and lint what it gives"],
  [
    /^\s*DELIMITER\b|`\w+`|\bENGINE\s*=|\bAUTO_INCREMENT\b|^#/im,
    "this is SQL of MySQL or MariaDB: pgsteward reads PostgreSQL's",
  ],
  [/^\s*PRAGMA\b|\bAUTOINCREMENT\b/im, "this is SQL of SQLite: pgsteward reads PostgreSQL's"],
  [
    /^\s*GO\s*$|\[\w+\]\s*\.\s*\[|\bIDENTITY\s*\(\s*\d|\bNVARCHAR\b/im,
    "this is SQL of SQL Server: pgsteward reads PostgreSQL's",
  ],
  [/^\/\s*$|\bVARCHAR2\b|\bNUMBER\s*\(/im, "this is SQL of Oracle: pgsteward reads PostgreSQL's"],
  [/^\s*(?:<[!?a-z]|[[{])/i, "this is no SQL"],
];

/** Characters that look like a blank or like nothing; the server takes them for letters of a name. */
const INVISIBLE = /[\u00A0\u00AD\u2000-\u200F\u2028-\u202F\u205F-\u2064\u3000\uFEFF]/;

/**
 * What to do about a syntax error, where its statement or file tells more than the parser.
 *
 * @param offset - of the fault, in UTF-16 units
 */
export function adviceOn(text: string, offset: number, message: string): string | undefined {
  const [invisible] = INVISIBLE.exec(message) ?? [];
  if (invisible !== undefined) {
    const code = (invisible.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    return `the invisible character U+${code} stands here: delete it`;
  }
  return text.charAt(offset) === "\0"
    ? "PostgreSQL's text has none: save the file as UTF-8"
    : FOREIGN.find(([mark]) => mark.test(text))?.[1];
}
