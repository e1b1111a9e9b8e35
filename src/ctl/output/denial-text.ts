/** A refusal explained: who refused whom, by what, and what would let such a request in. */
import type { FoundDenials, ToldDenial } from "../explain/denial.ts";
import { harmless, type Paint } from "../terminal.ts";

const kinds: Readonly<Record<string, string>> = {
  authorization: "a policy of authorization",
  jwt: "its token",
  "ext-authz": "an external authorizer",
  mtls: "mutual TLS",
  policy: "a rule of policy",
};

export function denialText({ denials, unreachable }: FoundDenials, paint: Paint): string {
  const parts = denials.flatMap((one) => [denialLines(one, paint).join("\n"), ""]);
  const lost = unreachable.map((one) => `${paint.yellow("not asked")}: ${one}`);
  return harmless(`${[...parts, ...lost].join("\n").trimEnd()}\n`);
}

function denialLines(denial: ToldDenial, paint: Paint): readonly string[] {
  const { id, status, kind, by, rule, place, reason, proxy, service } = denial;
  const outcome = status === 0 ? "connection closed" : `answered ${status}`;
  const named = [by, rule].filter((part) => part !== "").join(" ");
  const where = service === "" ? proxy : `${proxy} of ${service}`;
  const facts: readonly (readonly [string, string])[] = [
    ["refused", `${paint.red(outcome)} at ${new Date(denial.timeMs).toISOString()}, by ${where}`],
    ["because", `${kinds[kind] ?? kind}: ${named}${place === "" ? "" : ` (${place})`}`],
    ["reason", reason],
    ["who", whoText(denial)],
    ["what", whatText(denial)],
    ...denial.remedies.map((one, i) => [i === 0 ? "remedy" : "", one] as const),
  ];
  return [
    paint.bold(id === "" ? "a connection" : id),
    ...facts.map(([name, value]) => `  ${name.padEnd(8)} ${value}`),
  ];
}

function whoText({ principal, sourceAddress, remoteAddress, hasToken }: ToldDenial): string {
  const who = principal === "" ? "nobody that proved who it is" : principal;
  const client = remoteAddress === sourceAddress ? "" : ` for ${remoteAddress}`;
  return `${who}, from ${sourceAddress}${client}, ${hasToken ? "with" : "without"} a token`;
}

function whatText({ method, host, path, port, serverName }: ToldDenial): string {
  if (method !== "") return `${method} ${host}${path}, port ${port}`;
  return `a connection to port ${port}${serverName === "" ? "" : ` for ${serverName}`}`;
}
