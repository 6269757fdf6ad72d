// Whether an English word looks plural. A guess with lists of exceptions; unknown words go by their ending.

const PLURALS = new Set(
  "people children men women feet teeth geese mice data media criteria phenomena indices vertices matrices analyses aliases news series species sheep fish deer staff equipment information metadata feedback inventory history content analytics statistics stats settings details menus gurus".split(
    " ",
  ),
);
/** Words that end in s and are singular. */
const SINGULARS = new Set(
  "alias atlas bias canvas chaos cosmos gas lens kudos bus pancreas iris trellis tennis mantis pelvis".split(" "),
);

export function isPlural(word: string): boolean {
  const lower = word.toLowerCase().replace(/\d+$/, "");
  if (PLURALS.has(lower)) return true;
  if (SINGULARS.has(lower) || !lower.endsWith("s")) return false;
  return !/(?:ss|us|sis|xis)$/.test(lower);
}
