/**
 * Tables of the original adapters' tests, taken from their sources as they stand: those of adapters
 * that we have and whose rows are whole. Rows with Go in them, and tables of backends that we leave
 * to a collector, are skipped by name.
 */
import { readFileSync } from "node:fs";
import { parseHostPort } from "../../adapter/host-port.ts";
import { prometheus } from "../../adapter/prometheus.ts";
import { rbac } from "../../adapter/rbac.ts";
import { dogstatsd, statsd, statsdLine } from "../../adapter/statsd.ts";
import { stdio } from "../../adapter/stdio.ts";
import { workload } from "../../adapter/workload.ts";
import { parseIpAddress } from "../../attribute/ip-address.ts";
import type { TypedValue } from "../../attribute/value.ts";
import { isError } from "../../core/problem.ts";
import { readParameters } from "../../policy/read-parameters.ts";
import type { AnyInstance, Dimensions } from "../../policy/template.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../../testing/adapter-environment.ts";
import { captureLines } from "../../testing/capture-lines.ts";
import { difference } from "./mixer-adapters.ts";
import { type Suite, Verdicts } from "./suite.ts";

type Row = Readonly<Record<string, unknown>>;

interface Table {
  readonly file: string;
  readonly func: string;
  readonly rows: readonly Row[] | Readonly<Record<string, Row>>;
}

/** Undefined: as it should be. A skip is thrown. */
type Judge = (row: Row) => string | undefined;

class Skip extends Error {}

export const adapterTableSuites: readonly Suite[] = [
  { file: "mixer/adapter_tables_raw.json", run },
];

async function run(path: string) {
  const verdicts = new Verdicts();
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly Table[] };
  for (const { file, func, rows } of cases) {
    const adapter = /adapter\/(\w+)\//.exec(file)?.[1] ?? file;
    const judge = judges[`${adapter} ${func}`];
    for (const [i, row] of Object.entries(rows)) {
      const name = `${adapter} ${func} ${row === null ? i : (row.name ?? i)}`;
      if (judge === undefined) verdicts.skip(name, whyNot(adapter, func));
      else judgeRow(name, row, judge, verdicts);
    }
  }
  return verdicts.result();
}

function judgeRow(name: string, row: Row, judge: Judge, verdicts: Verdicts): void {
  try {
    verdicts.judge(name, judge(row));
  } catch (cause) {
    if (cause instanceof Skip) verdicts.skip(name, cause.message);
    else verdicts.judge(name, String(cause));
  }
}

const backends = /^(circonus|cloudwatch|solarwinds|stackdriver|signalfx|bypass|servicecontrol)$/;

function whyNot(adapter: string, func: string): string {
  if (backends.test(adapter)) return `${adapter} is left to a collector or a webhook`;
  if (adapter === "kubernetesenv") return "the pods of its cluster, without what is asked of them";
  if (adapter === "opa") return "needs policies of the test and an OPA server to run them";
  return `${adapter} ${func}: what its code did with the rows is not in the table`;
}

const judges: Readonly<Record<string, Judge>> = {
  "stdio TestLogEntry": judgeLogEntry,
  "stdio TestValidate": ({ stream, outputPath, result }) => {
    const found = problemsOf(stdio, { logStream: stream, outputPath });
    return difference(found.length === 0, result);
  },
  "prometheus TestBucket": judgeBuckets,
  "statsd TestValidateConfig": judgeStatsd,
  "dogstatsd TestBadStatsdClient": ({ conf }) => {
    const { Address: address } = conf as { Address: string };
    return parseHostPort(address) === undefined ? undefined : `accepts ${address}`;
  },
  "dogstatsd TestRecord": judgeDogstatsd,
  "rbac TestRBACStore_CheckPermission": judgePermission,
  "kubernetesenv TestBuilder_BuildAttributesGenerator": judgeWorkloads,
};

/** Names of parameters as Go has them, and a duration as nanoseconds. */
function judgeWorkloads(row: Row): string | undefined {
  const { clientFn, conf, wantErr } = row as {
    clientFn: unknown;
    conf: Readonly<Record<string, unknown>>;
    wantErr: boolean;
  };
  if (/error/i.test(JSON.stringify(clientFn))) throw new Skip("asks no Kubernetes API");
  const parameters = Object.entries(conf).map(([name, value]) => {
    const written = name[0]!.toLowerCase() + name.slice(1);
    const { ns } = Object(value) as { ns?: string };
    return [written, ns === undefined ? value : `${Number(ns) / 1e9}s`];
  });
  const { problems } = readParameters(workload, JSON.stringify(Object.fromEntries(parameters)));
  return difference(problems.some(isError), wantErr);
}

/** Rows of JSON as a literal of Go that the extractor could not evaluate have a "$". */
function requireWhole(value: unknown): void {
  if (JSON.stringify(value).includes('"$go"')) throw new Skip("a value is an expression of Go");
}

function judgeLogEntry(row: Row): string | undefined {
  const { instances, expected, json } = row as {
    instances: { Name: string; Severity: string; Variables: Row; Timestamp?: unknown }[];
    expected: string[];
    json: boolean;
  };
  requireWhole(instances);
  const entries = instances.map(({ Name: name, Severity: severity, Variables: of, Timestamp }) => {
    if (Timestamp !== undefined) throw new Skip("a time is an expression of Go");
    const variables = dimensionsOf(of);
    return { template: "logentry", name, severity, variables } satisfies AnyInstance;
  });
  const got = captureLines((outputPath) => {
    const handler = openLocal(stdio, { logStream: "FILE", outputPath, outputAsJson: json });
    handler.report?.(entries);
    handler.close();
  });
  return difference(got.split("\n").slice(0, -1), expected.map(withoutBytes));
}

/** Octets that are no address are no value of ours. */
function withoutBytes(line: string): string {
  return line.replace(/"Bytes": ?"[^"]*", ?/, "");
}

function dimensionsOf(written: Row): Dimensions {
  const values: Record<string, TypedValue> = {};
  for (const [name, value] of Object.entries(written)) {
    if (name === "Bytes") continue;
    values[name] = goValue(name, value);
  }
  return values;
}

/** By the form that the extractor gave a value, and, of numbers, by the field's name. */
function goValue(name: string, value: unknown): TypedValue {
  if (typeof value === "string") return { type: "STRING", value };
  if (typeof value === "boolean") return { type: "BOOL", value };
  if (typeof value === "number")
    return name === "Double" ? { type: "DOUBLE", value } : { type: "INT64", value };
  const text = JSON.stringify(value);
  const of = value as Row;
  if (typeof of.ns === "string") return { type: "DURATION", value: Number(of.ns) };
  const address = /"(?:args":\["|net\.IP)([\d.]+|v4zero|v6loopback)"/.exec(text)?.[1];
  if (address !== undefined) {
    const written = { v4zero: "0.0.0.0", v6loopback: "::1" }[address] ?? address;
    return { type: "IP_ADDRESS", value: parseIpAddress(written) ?? new Uint8Array() };
  }
  if (text.includes('"time.Date"')) return { type: "TIMESTAMP", value: goDate(of) };
  if (text.includes('"$')) throw new Skip("a value is an expression of Go");
  const entries = Object.entries(of as Record<string, string>);
  return { type: "STRING_MAP", value: new Map(entries) };
}

/** Arguments of time.Date, with the month by its name. */
function goDate({ args }: Row) {
  const [year, month, day, hour, minute, second] = args as (number | { $ref: string })[];
  const name = typeof month === "object" ? month.$ref.replace("time.", "") : "";
  const at = Date.parse(`${name} ${day}, ${year} ${hour}:${minute}:${second} UTC`);
  return { seconds: at / 1_000, nanos: 0 };
}

function judgeBuckets(row: Row): string | undefined {
  const { bucketDef, want } = row as {
    bucketDef: { Definition: Readonly<Record<string, Row>> } | null;
    want: number[] | null;
  };
  const [[kind, fields] = ["", {}]] = Object.entries(bucketDef?.Definition ?? {});
  const lower = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
  const definition = Object.fromEntries(
    Object.entries(fields ?? {}).map(([name, value]) => [lower(name), value]),
  );
  const metric = {
    instanceName: "m",
    kind: "DISTRIBUTION",
    ...(kind !== "" && { buckets: { [lower(kind)]: definition } }),
  };
  if (want === null || want.length === 0) throw new Skip("without a definition ours are the usual");
  const environment = adapterEnvironment();
  const handler = openLocal(prometheus, { metrics: [metric] }, environment);
  const value = { type: "INT64", value: 1 } as const;
  handler.report?.([{ template: "metric", name: "m", value, dimensions: {} }]);
  const bounds = Array.from(environment.exposition.text().matchAll(/le="([\d.e+]+)"/g), ([, le]) =>
    Number(le),
  );
  return difference(bounds, want);
}

function judgeStatsd(row: Row): string | undefined {
  const { conf, errString } = row as { conf: Row; errString: string };
  const written: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(conf)) {
    if (name === "Metrics") {
      const templates = value as Record<string, { NameTemplate: string }>;
      const metric = ([key, { NameTemplate }]: [string, { NameTemplate: string }]) =>
        [key, { type: "COUNTER", nameTemplate: NameTemplate }] as const;
      written.metrics = Object.fromEntries(Object.entries(templates).map(metric));
    } else if (name === "FlushDuration") written.flushDuration = `${value}ns`;
    else written[name.charAt(0).toLowerCase() + name.slice(1)] = value;
  }
  return difference(problemsOf(statsd, written).length > 0, errString !== "");
}

/** The handler of the test: the names are those of the metrics. */
function judgeDogstatsd(row: Row): string | undefined {
  const { expected, vals } = row as {
    expected: string;
    vals: { Name: string; Value?: unknown; Dimensions?: Row }[];
  };
  const [val] = vals;
  if (val?.Value === undefined) throw new Skip("a value is an expression of Go");
  if (JSON.stringify(val.Dimensions ?? {}).includes("$call") && /,/.test(expected))
    throw new Skip("dimensions are set by code of the test");
  const kinds = { gauge: "GAUGE", counter: "COUNTER", distribution: "DISTRIBUTION" } as const;
  const kind = kinds[val.Name as keyof typeof kinds];
  if (kind === undefined) throw new Skip(`the metric ${val.Name} is set by code of the test`);
  const metrics = { [val.Name]: { name: val.Name, type: kind } };
  const found = problemsOf(dogstatsd, { globalTags: { global: "tag" }, metrics });
  if (found.length > 0) return found.join(", ");
  const metric = { kind, name: [{ literal: val.Name }], tags: [] };
  const settings = {
    dialect: "dogstatsd",
    prefix: "testing.",
    rate: 1,
    globalTags: ["global:tag"],
    metrics: new Map([[val.Name, metric]]),
  } as const;
  const made = statsdLine(settings, { name: val.Name, value: goValue("Value", val.Value) });
  return difference(typeof made === "string" ? made : made.line, expected);
}

/** What code of the test sets up before it asks, as a handler's parameters. */
const permissions = `
roles:
- name: role1
  namespace: ns1
  rules: [{ services: [bookstore], paths: [/books], methods: [GET] }]
- name: role2
  namespace: ns1
  rules:
  - { services: [products], methods: ["*"], constraints: [{ key: version, values: [v1, v2] }] }
- { name: role3, namespace: ns1, rules: [{ services: [fish*], paths: [/pond/*], methods: [GET] }] }
- name: role4
  namespace: ns1
  rules: [{ services: [fish], paths: ["*/review"], methods: [GET] }]
- { name: role5, namespace: ns1, rules: [{ services: [abc], methods: [GET] }] }
bindings:
- name: binding1
  namespace: ns1
  roleRef: { kind: ServiceRole, name: role1 }
  subjects: [{ properties: { namespace: acme } }]
- name: binding2
  namespace: ns1
  roleRef: { kind: ServiceRole, name: role2 }
  subjects: [{ user: alice@yahoo.com }, { properties: { service: reviews, namespace: abc } }]
- name: binding3
  namespace: ns1
  roleRef: { kind: ServiceRole, name: role3 }
  subjects: [{ properties: { namespace: abcfish } }]
- name: binding4
  namespace: ns1
  roleRef: { kind: ServiceRole, name: role4 }
  subjects: [{ user: alice@yahoo.com, properties: { namespace: mynamespace, service: xyz } }]
- name: binding5
  namespace: ns1
  roleRef: { kind: ServiceRole, name: role5 }
  subjects: [{ user: "*" }]
`;

function judgePermission(row: Row): string | undefined {
  const { expected, ...asked } = row as { expected: boolean } & Readonly<Record<string, string>>;
  const { namespace = "", service = "", path = "", method = "", version = "" } = asked;
  const { sourceNamespace = "", sourceService = "", user = "" } = asked;
  const texts = (of: Readonly<Record<string, string>>): Dimensions =>
    Object.fromEntries(
      Object.entries(of).map(([name, value]) => [name, { type: "STRING", value } as const]),
    );
  const properties = texts({ namespace: sourceNamespace, service: sourceService });
  const answer = openLocal(rbac, permissions).check?.({
    template: "authorization",
    name: "a",
    subject: { user, groups: user, properties },
    action: { namespace, service, path, method, properties: texts({ version }) },
  });
  const got = { code: answer?.code, message: answer?.message };
  const denied = { code: 7, message: "RBAC: permission denied." };
  return difference(got, expected ? { code: 0, message: "" } : denied);
}
