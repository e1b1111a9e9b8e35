/** Whether calls would be let in, as an operator reads it. */
import type { CallJudgement } from "../authz/judge-call.ts";
import { harmless, type Paint } from "../terminal.ts";

/** One answer, and the proxies that give it. */
export interface JudgedCall {
  readonly proxies: readonly string[];
  readonly judgement: CallJudgement;
}

export function authzText(
  title: string,
  calls: readonly JudgedCall[],
  notes: readonly string[],
  paint: Paint,
): string {
  const parts = calls.map((one) => answerLines(one, calls.length > 1, paint).join("\n"));
  const said = notes.map((one) => `${paint.dim("note")}: ${one}`);
  return harmless(`${[paint.bold(title), ...parts, ...said].join("\n")}\n`);
}

function answerLines(
  { proxies, judgement }: JudgedCall,
  isOneOfMany: boolean,
  paint: Paint,
): readonly string[] {
  const { allowed, by, place, reason, asks, remedies, notes } = judgement;
  const outcome = allowed ? paint.green("allowed") : paint.red("denied");
  const asked = asks.length === 0 ? "" : `, if ${asks.join(" and ")} says so too`;
  const facts: readonly (readonly [string, string])[] = [
    ["by", `${by}${place === "" ? "" : ` (${place})`}: ${reason}`],
    ...remedies.map((one, i) => [i === 0 ? "remedy" : "", one] as const),
    ["mtls", tlsText(judgement)],
    ...notes.map((one) => ["note", one] as const),
    ...(isOneOfMany ? [["at", proxies.join(", ")] as const] : []),
  ];
  return [
    `${outcome}${allowed ? asked : ""}`,
    ...facts.map(([name, value]) => `  ${name.padEnd(6)} ${value}`),
  ];
}

function tlsText({ mutualTls, mutualTlsBy, plaintext }: CallJudgement): string {
  const by = mutualTlsBy === "" ? "" : `, by ${mutualTlsBy}`;
  return `${mutualTls}${by}: a call in plaintext is ${plaintext ? "let in" : "refused"}`;
}
