/**
 * What policy costs a request of a proxy: the same proxy without rules, with ten that are asked
 * about each request, with a thousand that cannot match, and with Istio's default telemetry.
 * Microseconds of processor time more than without rules, medians of interleaved rounds.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { median, type Sample, sample, wrk } from "./measure.ts";
import { HOST, meshBinary, type Peer, startMesh, startUpstream } from "./peer.ts";
import { pathRules } from "./rule-set.ts";

export interface PolicyOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Names of variants; empty: all. */
  readonly only: readonly string[];
  /** An earlier build, measured without rules beside this one; "": none. */
  readonly former: string;
}

interface Variant {
  readonly name: string;
  readonly rules: readonly object[];
  /** Files of rules/ besides. */
  readonly files?: readonly string[];
  /** Microseconds more than without rules that are enough. */
  readonly bar?: number;
}

const CONNECTIONS = 64;
/** A proxy that has started gives memory back a little later. */
const SETTLING_MS = 4_000;
const telemetry = join(import.meta.dir, "..", "..", "rules", "telemetry");

const variants: readonly Variant[] = [
  { name: "none", rules: [] },
  { name: "ten", rules: tenRules(), bar: 3 },
  { name: "thousand", rules: thousandRules(), bar: 0.5 },
  { name: "headers", rules: [headerRule()] },
  { name: "metrics", rules: [], files: ["metrics.yaml"], bar: 5 },
  { name: "metrics+log", rules: [], files: ["metrics.yaml", "access-log.yaml"], bar: 5 },
];

/** False: a bar was missed. */
export async function benchPolicy(options: PolicyOptions): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const { only, former } = options;
    const wanted = variants.filter(
      ({ name }) => name === "none" || only.length === 0 || only.includes(name),
    );
    const peers: Peer[] = [];
    const start = async (variant: Variant, binary = meshBinary): Promise<void> => {
      const rules = writeRules(directory, variant, upstream.port);
      const [port] = freePorts(1);
      const peer = await startMesh(variant.name, directory, port!, { rules, binary });
      peers.push(peer);
      running.push(peer);
    };
    if (former !== "") await start({ name: "former", rules: [] }, former);
    for (const variant of wanted) await start(variant);
    return await report(peers, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function writeRules(directory: string, { name, rules, files }: Variant, upstream: number): string {
  const home = join(directory, `rules-${name}`);
  mkdirSync(home);
  const documents = [pathRules(upstream, 10), ...rules.map((rule) => JSON.stringify(rule))];
  writeFileSync(join(home, "rules.yaml"), documents.join("\n---\n"));
  for (const file of files ?? []) cpSync(join(telemetry, file), join(home, file));
  return home;
}

async function report(
  peers: readonly Peer[],
  { rounds, seconds }: PolicyOptions,
): Promise<boolean> {
  await Bun.sleep(SETTLING_MS);
  const load = ({ port }: Peer, forSeconds: number) => ({
    url: `http://127.0.0.1:${port}/route/9`,
    host: HOST,
    connections: CONNECTIONS,
    seconds: forSeconds,
    fields: ["x-user: jason", "user-agent: wrk", "x-request-id: 5b2f3a10-77aa"],
  });
  for (const peer of peers) await wrk(load(peer, 3));
  const samples = new Map<string, Sample[]>(peers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const peer of peers)
      samples.get(peer.name)!.push(await sample(peer.pid, load(peer, seconds)));
  const costs = (name: string): number[] => samples.get(name)!.map(({ cpuMicros }) => cpuMicros);
  const base = costs("none");
  let isMet = true;
  console.log(`\npolicy, ${CONNECTIONS} connections: processor time a request`);
  for (const { name } of peers) {
    const own = costs(name);
    const more = median(own.map((cost, round) => cost - base[round]!));
    const bar = variants.find((variant) => variant.name === name)?.bar;
    if (bar !== undefined && !(more <= bar)) isMet = false;
    const judged = bar === undefined ? "" : ` (at most ${bar}: ${more <= bar ? "met" : "MISSED"})`;
    const errors = samples.get(name)!.reduce((sum, one) => sum + one.errors, 0);
    console.log(
      `${name.padEnd(12)} ${median(own).toFixed(2)} µs, ${more.toFixed(2)} more${judged}` +
        (errors === 0 ? "" : `, ${errors} ERRORS`),
    );
  }
  return isMet;
}

function rule(name: string, spec: object): object {
  const apiVersion = "config.istio.io/v1alpha2";
  return { apiVersion, kind: "rule", metadata: { name, namespace: "istio-system" }, spec };
}

function ask(adapter: string, params: object, template: string, fields: object): object {
  const handler = { compiledAdapter: adapter, params };
  return { handler, instances: [{ compiledTemplate: template, params: fields }] };
}

/** Asked about each request: four look at a header, two at a list, two at a rate, two at a path. */
function tenRules(): object[] {
  const deny = ask("denier", {}, "checknothing", {});
  const overrides = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  const list = ask("listchecker", { overrides: [...overrides, "jason"] }, "listentry", {
    value: 'request.headers["x-user"]',
  });
  const pairs = [0, 1].flatMap((i) => [
    rule(`user-${i}`, {
      match: `(request.headers["x-user"] | "") == "mallory-${i}"`,
      actions: [deny],
    }),
    rule(`agent-${i}`, {
      match: `(request.useragent | "").startsWith("evil-${i}")`,
      actions: [deny],
    }),
    rule(`list-${i}`, { actions: [list] }),
    rule(`rate-${i}`, { rateLimit: `${100_000_000 + i}/s` }),
    rule(`path-${i}`, { match: `request.path.startsWith("/admin/${i}")`, actions: [deny] }),
  ]);
  return pairs;
}

function thousandRules(): object[] {
  const deny = ask("denier", {}, "checknothing", {});
  return Array.from({ length: 1_000 }, (_, i) =>
    rule(`rule-${i}`, {
      match: `destination.service.host == "service-${i}.default.svc.cluster.local"`,
      actions: [deny],
    }),
  );
}

function headerRule(): object {
  return rule("headers", {
    requestHeaderOperations: [{ name: "x-tier", values: ['"gold"'] }],
    responseHeaderOperations: [{ name: "server", values: ['"mesh"'] }],
  });
}
