/** A rate limit in one line ─▶ the handler and the instance that are made of it. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../core/problem.ts";
import type { Action } from "../../model/policy-rule.ts";
import { readDocuments } from "../read.ts";

function read(written: string) {
  const text = `kind: rule
apiVersion: config.istio.io/v1alpha2
metadata: { name: slow }
spec:
  rateLimit: ${written}
  actions: [{ handler: h, instances: [i] }]
`;
  return readDocuments(text, { file: "p.yaml", namespace: "shop" });
}

function limitsOf(written: string): readonly Action[] {
  const { configs, problems } = read(written);
  expect(problems).toEqual([]);
  const [config] = configs;
  return config?.kind === "rule" ? config.spec.actions.slice(1) : [];
}

/** "memquota {parameters} by dimensions" */
function summary({ handler, instances, charge }: Action): string {
  const [instance] = instances;
  if ("name" in handler || instance === undefined || "name" in instance) return "a reference";
  const { dimensions = {} } = instance.fields;
  const by = Object.entries(dimensions).map(([name, one]) => {
    const { source, at } = one as { source: string; at: { line: number; column: number } };
    expect(name).toBe(source);
    return `${source} at ${at.line}:${at.column}`;
  });
  const { json } = handler.parameters;
  return `${charge} of ${instance.template} in ${handler.adapter} ${json} by ${by.join("; ")}`;
}

const named = '"name":"slow[1][0].instance.shop"';

describe("a line, and what it means", () => {
  test.each([
    ["100/s", `memquota {"quotas":[{${named},"maxAmount":100,"validDuration":"1s"}]} by `],
    [" 5 / m ", `memquota {"quotas":[{${named},"maxAmount":5,"validDuration":"60s"}]} by `],
    ["5/10m", `memquota {"quotas":[{${named},"maxAmount":5,"validDuration":"600s"}]} by `],
    ["5/hour", `memquota {"quotas":[{${named},"maxAmount":5,"validDuration":"3600s"}]} by `],
    ["5/2 Days", `memquota {"quotas":[{${named},"maxAmount":5,"validDuration":"172800s"}]} by `],
    ["5/s rolling", `memquota {"quotas":[{${named},"maxAmount":5,"validDuration":"1s"}]} by `],
    [
      '100/s by request.headers["x-user"]',
      `memquota {"quotas":[{${named},"maxAmount":100,"validDuration":"1s"}]} ` +
        'by request.headers["x-user"] at 5:23',
    ],
    [
      '"100/s by source.namespace, f(a, b) | c"',
      `memquota {"quotas":[{${named},"maxAmount":100,"validDuration":"1s"}]} ` +
        "by source.namespace at 5:24; f(a, b) | c at 5:42",
    ],
    [
      // Whoever compiles it says what is wrong within.
      "1/s by f(a at b)",
      `memquota {"quotas":[{${named},"maxAmount":1,"validDuration":"1s"}]} by f(a at b) at 5:21`,
    ],
    [
      "1/s at redis://r:6379",
      'redisquota {"redisServerUrl":"redis://r:6379","quotas":' +
        `[{${named},"maxAmount":1,"validDuration":"1s"}]} by `,
    ],
    [
      '1/s rolling by source.user | "at" at rediss://r:6379',
      'redisquota {"redisServerUrl":"rediss://r:6379","quotas":' +
        `[{${named},"maxAmount":1,"validDuration":"1s","rateLimitAlgorithm":"ROLLING_WINDOW",` +
        '"bucketDuration":"0.1s"}]} by source.user | "at" at 5:29',
    ],
    [
      "1/s fixed by at at redis://r",
      'redisquota {"redisServerUrl":"redis://r","quotas":' +
        `[{${named},"maxAmount":1,"validDuration":"1s"}]} by at at 5:27`,
    ],
  ])("%s", (written, expected) => {
    expect(limitsOf(written).map(summary)).toEqual([`1 of quota in ${expected}`]);
  });

  test("several: all of them hold", () => {
    expect(limitsOf("[10/s, 100/m by source.user]").map(summary)).toEqual([
      `1 of quota in memquota {"quotas":[{${named},"maxAmount":10,"validDuration":"1s"}]} by `,
      '1 of quota in memquota {"quotas":[{"name":"slow[2][0].instance.shop","maxAmount":100,' +
        '"validDuration":"60s"}]} by source.user at 5:30',
    ]);
  });
});

describe("a line with a mistake, and where it is", () => {
  const usage = '(write AMOUNT/UNIT as in "100/s", "5000/10m by source.user")';
  test.each([
    ["often", `5:14: spec.rateLimit: is no rate limit ${usage}`],
    ["100 a second", `5:17: spec.rateLimit: is no rate limit ${usage}`],
    ["100/", "5:18: spec.rateLimit: must be per s, m, h or d"],
    ["100/year", "5:18: spec.rateLimit: must be per s, m, h or d"],
    ["100/10 parsecs", "5:21: spec.rateLimit: must be per s, m, h or d"],
    ["0/s", "5:14: spec.rateLimit: must allow 1 to 9007199254740991, not 0"],
    ["5/0s", "5:16: spec.rateLimit: must be a time of at most 49 days"],
    ["5/50d", "5:16: spec.rateLimit: must be a time of at most 49 days"],
    ["5/s per user", `5:18: spec.rateLimit: must go on with "by" or "at", not "per" ${usage}`],
    ["5/s rollin", `5:18: spec.rateLimit: must go on with "by" or "at", not "rollin" ${usage}`],
    ["5/s by", "5:20: spec.rateLimit: must be an expression, and there is none"],
    ["5/s by a,, b", "5:23: spec.rateLimit: must be an expression, and there is none"],
    ["5/s by a, a", "5:24: spec.rateLimit: a is given twice"],
    ["5/s by a at r:6379", "5:26: spec.rateLimit: must be a Redis as in redis://HOST:PORT"],
    ["5/s at", "5:20: spec.rateLimit: must be a Redis as in redis://HOST:PORT"],
    [
      "5/s fixed by a",
      "5:18: spec.rateLimit: a window that does not roll needs a Redis " +
        "(leave the word out, or count at redis://HOST:PORT)",
    ],
    ["5", 'must be a text, not the number 5 (write "5")'],
    [
      "5/s by a ? b",
      "5:23: spec.rateLimit: unable to parse expression ' a ? b': 1:4: " +
        "illegal character U+003F '?'",
    ],
  ])("%s", (written, expected) => {
    const [told = "", ...others] = read(written).problems.map(formatProblem);
    expect(told).toContain(expected);
    expect(others).toEqual([]);
  });
});
