// What a CHECK proves: the columns that cannot be null when it holds.

/** `CHECK ((a IS NOT NULL) AND (b > 0))`: the columns that cannot be null when it holds. An OR on the top proves nothing. */
export function provedByDefinition(definition: string): readonly string[] {
  const body = /^CHECK \((.*)\)(?: NO INHERIT)?(?: NOT VALID)?(?: NOT ENFORCED)?$/s.exec(definition)?.[1] ?? "";
  return splitTopLevelAnd(body).flatMap((part) => {
    const bare = part.replace(/^\(+/, "").replace(/\)+$/, "");
    const found = /^"?([^"()]+)"? IS NOT NULL$/i.exec(bare);
    return found?.[1] === undefined ? [] : [found[1]];
  });
}

function splitTopLevelAnd(text: string): readonly string[] {
  const inner = /^\((.*)\)$/s.exec(text.trim())?.[1];
  const body = inner !== undefined && isBalanced(inner) ? inner : text.trim();
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < body.length; index++) {
    if (body[index] === "(") depth++;
    else if (body[index] === ")") depth--;
    else if (depth === 0 && body.slice(index, index + 4).toUpperCase() === " OR ") return [];
    else if (depth === 0 && body.slice(index, index + 5).toUpperCase() === " AND ") {
      parts.push(body.slice(start, index));
      start = index + 5;
    }
  }
  return [...parts, body.slice(start)].flatMap((part) => {
    const trimmed = part.trim();
    return parts.length > 0 && trimmed.startsWith("(") && / AND /i.test(trimmed)
      ? splitTopLevelAnd(trimmed)
      : [trimmed];
  });
}

function isBalanced(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === "(") depth++;
    else if (character === ")" && --depth < 0) return false;
  }
  return depth === 0;
}
