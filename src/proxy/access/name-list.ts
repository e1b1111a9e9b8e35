/** Names of fields as external authorizers are told of them: "x-user", "x-auth-*", "*-token". */
export class NameList {
  /** Those that stand there whole, in lower case. */
  readonly exact: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #suffixes: readonly string[];

  constructor(patterns: readonly string[]) {
    const lower = patterns.map((pattern) => pattern.toLowerCase()).filter((one) => one !== "");
    this.#prefixes = lower.filter((one) => one.endsWith("*")).map((one) => one.slice(0, -1));
    this.#suffixes = lower
      .filter((one) => one.startsWith("*") && !one.endsWith("*"))
      .map((one) => one.slice(1));
    this.exact = new Set(lower.filter((one) => !one.startsWith("*") && !one.endsWith("*")));
  }

  get isEmpty(): boolean {
    return this.exact.size === 0 && !this.hasPatterns;
  }

  get hasPatterns(): boolean {
    return this.#prefixes.length + this.#suffixes.length > 0;
  }

  /** `name`: in lower case. */
  has(name: string): boolean {
    if (this.exact.has(name)) return true;
    for (const prefix of this.#prefixes) if (name.startsWith(prefix)) return true;
    for (const suffix of this.#suffixes) if (name.endsWith(suffix)) return true;
    return false;
  }
}
