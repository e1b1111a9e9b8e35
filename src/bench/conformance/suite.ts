/**
 * What every conformance suite is: one file of published vectors, run against our code.
 *
 * A suite judges by our own strict reading where a fixture's expectation is a lenient parser's, and
 * says so. Nothing is skipped without a reason of its own.
 */
export interface Finding {
  readonly name: string;
  /** Why it failed, or why it cannot be judged here, in one line. */
  readonly why: string;
}

export interface SuiteResult {
  readonly passed: number;
  readonly failed: readonly Finding[];
  readonly skipped: readonly Finding[];
}

export interface Suite {
  /** The vectors' path below the folder given on the command line: `http/llhttp.json`. */
  readonly file: string;
  /** Tells suites that read the same file apart: "end to end". */
  readonly title?: string;
  /** Runs every case in the file at `path`, which is absolute. */
  run(path: string): Promise<SuiteResult>;
}

/** Collects verdicts while a suite runs. */
export class Verdicts {
  passed = 0;
  readonly failed: Finding[] = [];
  readonly skipped: Finding[] = [];

  /** Counts a case as passed where `why` is undefined, and as failed for that reason otherwise. */
  judge(name: string, why: string | undefined): void {
    if (why === undefined) this.passed++;
    else this.failed.push({ name, why });
  }

  skip(name: string, why: string): void {
    this.skipped.push({ name, why });
  }

  result(): SuiteResult {
    return { passed: this.passed, failed: this.failed, skipped: this.skipped };
  }
}
