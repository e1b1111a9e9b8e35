/**
 * The few Python expressions that tests of W3C build texts from: literals, `'z' * 256`, sums, and
 * the variables of one test, which hold every character that a member of tracestate may have.
 */
function span(from: number, to: number): string {
  return String.fromCharCode(...Array.from({ length: to - from + 1 }, (_, i) => from + i));
}

const keyCharacters = `${span(0x61, 0x7a)}0123456789_-*/`;
const variables: Readonly<Record<string, string>> = {
  key_without_vendor: keyCharacters,
  key_with_vendor: `${keyCharacters}@a-z0-9_-*/`,
  value: span(0x20, 0x2b) + span(0x2d, 0x3c) + span(0x3e, 0x7e),
};

const term = /\s*(?:(?:'([^']*)'|"([^"]*)")(?:\s*\*\s*(\d+))?|(\w+))\s*(\+|$)/y;

/** Undefined: an expression of another form. */
export function pythonText(expression: string): string | undefined {
  let text = "";
  term.lastIndex = 0;
  while (term.lastIndex < expression.length) {
    const match = term.exec(expression);
    if (match === null) return undefined;
    const [, single, double, times, name] = match;
    const literal = single ?? double;
    const part = literal?.repeat(Number(times ?? 1)) ?? variables[name ?? ""];
    if (part === undefined) return undefined;
    text += part.replaceAll("\\t", "\t");
  }
  return text;
}

/** `[['traceparent', …], ['tracestate', key + '=' + value]]` */
export function pythonPairs(list: string): readonly (readonly [string, string])[] | undefined {
  const pairs: (readonly [string, string])[] = [];
  for (const [, name = "", expression = ""] of list.matchAll(/\['(\w+)',\s*(.*?)\](?=,|\]|$)/g)) {
    const value = pythonText(expression);
    if (value === undefined) return undefined;
    pairs.push([name, value]);
  }
  return pairs;
}
