/**
 * The texts of a rule: exact, "prefix*", "*suffix", or "*" for any that is there. A list of them is
 * one function; those that are exact are looked up, however many they are.
 */
export type TextTest = (text: string) => boolean;

export type TextPattern =
  | { readonly kind: "exact" | "prefix" | "suffix"; readonly text: string }
  | { readonly kind: "present" };

const LINEAR_MAX = 4;

export function parseTextPattern(written: string): TextPattern {
  if (written === "*") return { kind: "present" };
  if (written.startsWith("*")) return { kind: "suffix", text: written.slice(1) };
  if (written.endsWith("*")) return { kind: "prefix", text: written.slice(0, -1) };
  return { kind: "exact", text: written };
}

/** Whether a text is one of `patterns`. An empty text is not there. */
export function compileTexts(patterns: readonly string[]): TextTest {
  const exact: string[] = [];
  const tests: TextTest[] = [];
  for (const pattern of patterns.map(parseTextPattern)) {
    if (pattern.kind === "exact") exact.push(pattern.text);
    else tests.push(compilePattern(pattern));
  }
  if (exact.length > LINEAR_MAX) {
    const set = new Set(exact);
    tests.unshift((text) => set.has(text));
  } else for (const one of exact) tests.unshift((text) => text === one);
  return anyOf(tests);
}

function compilePattern(pattern: TextPattern): TextTest {
  switch (pattern.kind) {
    case "present":
      return (text) => text !== "";
    case "exact":
      return (text) => text === pattern.text;
    case "prefix":
      return (text) => text.startsWith(pattern.text);
    case "suffix":
      return (text) => text.endsWith(pattern.text);
  }
}

/** Whether one of `tests` holds; none: it never does. */
export function anyOf<T>(tests: readonly ((value: T) => boolean)[]): (value: T) => boolean {
  const [first, second] = tests;
  if (first === undefined) return () => false;
  if (second === undefined) return first;
  if (tests.length === 2) return (value) => first(value) || second(value);
  return (value) => {
    for (let i = 0; i < tests.length; i++) if (tests[i]!(value)) return true;
    return false;
  };
}

/** Whether all of `tests` hold; none: it always does. */
export function allOf<T>(tests: readonly ((value: T) => boolean)[]): (value: T) => boolean {
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (tests.length === 2) return (value) => first(value) && second(value);
  return (value) => {
    for (let i = 0; i < tests.length; i++) if (!tests[i]!(value)) return false;
    return true;
  };
}
