// What the text of a CHECK says about values that pass it: constants it compares with, lengths, samples of its regular expressions.

/** Texts that a check's definition suggests for its columns, best first. */
export function hintsOf(definition: string): readonly string[] {
  const patterns: string[] = [];
  const words: string[] = [];
  for (const match of definition.matchAll(/(~~?\*?\s*)?(?:E)?'((?:[^']|'')*)'/g)) {
    const text = (match[2] ?? "").replaceAll("''", "'");
    const operator = (match[1] ?? "").trim();
    if (operator === "~" || operator === "~*") patterns.push(...sampleOfPattern(text));
    else if (operator.startsWith("~~")) words.push(text.replaceAll("%", "").replaceAll("_", "a"));
    else words.push(text);
  }
  const numbers = [...definition.replaceAll(/'(?:[^']|'')*'/g, "").matchAll(/(?<![\w.])-?\d+(?:\.\d+)?/g)].map(
    ([text]) => Number(text),
  );
  const around = numbers.flatMap((number) => [String(number), String(number + 1), String(number - 1)]);
  const measured = /length\(/.test(definition)
    ? numbers
        .filter((length) => Number.isInteger(length) && length > 0 && length <= 1_000)
        .flatMap((length) => ["a".repeat(length), "1".repeat(length), "A".repeat(length)])
    : [];
  return [...new Set([...patterns, ...words, ...measured, ...around])].slice(0, 24);
}

/** Two texts that a simple regular expression matches; empty for one that is not simple. */
function sampleOfPattern(pattern: string): readonly string[] {
  try {
    return [new PatternSampler(pattern, 0).sample(), new PatternSampler(pattern, 1).sample()];
  } catch {
    return []; // look-around, back references …: other candidates are tried
  }
}

class PatternSampler {
  readonly #pattern: string;
  readonly #pick: number;
  #at = 0;

  /** @param pick - which member of a class or branch is taken */
  constructor(pattern: string, pick: number) {
    this.#pattern = pattern;
    this.#pick = pick;
  }

  sample(): string {
    const text = this.#branches();
    if (this.#at < this.#pattern.length) throw new SyntaxError("unbalanced");
    return text;
  }

  #branches(): string {
    const branches = [this.#sequence()];
    while (this.#pattern[this.#at] === "|") {
      this.#at++;
      branches.push(this.#sequence());
    }
    return branches[this.#pick % branches.length] ?? "";
  }

  #sequence(): string {
    let text = "";
    while (this.#at < this.#pattern.length && !"|)".includes(this.#pattern[this.#at] ?? "")) {
      const atom = this.#atom();
      text += atom.repeat(this.#count());
    }
    return text;
  }

  #atom(): string {
    const character = this.#pattern[this.#at++] ?? "";
    switch (character) {
      case "^":
      case "$":
        return "";
      case "(": {
        if (this.#pattern.startsWith("?:", this.#at)) this.#at += 2;
        else if (this.#pattern[this.#at] === "?") throw new SyntaxError("look-around");
        const text = this.#branches();
        if (this.#pattern[this.#at++] !== ")") throw new SyntaxError("unbalanced");
        return text;
      }
      case "[":
        return this.#class();
      case ".":
        return "a";
      case "\\":
        return escaped(this.#pattern[this.#at++] ?? "");
      default:
        return character;
    }
  }

  #class(): string {
    const end = this.#pattern.indexOf("]", this.#at + 1);
    if (end === -1) throw new SyntaxError("unbalanced");
    let body = this.#pattern.slice(this.#at, end);
    this.#at = end + 1;
    const posix = /^\[:(\w+):$/.exec(body)?.[1];
    if (posix !== undefined) {
      this.#at++; // the second bracket
      return posix === "digit" ? "1" : posix === "upper" ? "A" : posix === "space" ? " " : "a";
    }
    if (body.startsWith("^")) {
      const refused = body;
      return ["a", "1", "-", " "].find((candidate) => !refused.includes(candidate)) ?? "z";
    }
    body = body.replaceAll(/\\(.)/g, (_, letter: string) => escaped(letter));
    return body[this.#pick === 0 ? 0 : Math.max(0, body.length - 1)] ?? "";
  }

  #count(): number {
    const rest = this.#pattern.slice(this.#at);
    const braces = /^\{(\d+)(?:,(\d*))?\}/.exec(rest);
    const mark = braces?.[0] ?? /^[*+?]/.exec(rest)?.[0] ?? "";
    this.#at += mark.length;
    if (/^[*+?}]\?/.test(`${mark.slice(-1)}${this.#pattern[this.#at] ?? ""}`)) this.#at++; // lazy
    if (braces !== null) return Math.max(Number(braces[1]), this.#pick === 0 ? 1 : 0);
    return mark === "+" ? 2 : mark === "" ? 1 : this.#pick === 0 ? 1 : 0;
  }
}

function escaped(letter: string): string {
  if (/[1-9bBAZmMyY]/.test(letter)) throw new SyntaxError("back reference or boundary");
  return { d: "1", w: "a", s: " ", D: "a", W: "-", S: "a", n: "\n", t: "\t" }[letter] ?? letter;
}
