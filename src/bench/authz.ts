/**
 * What AuthorizationPolicy costs a request: its head is scanned already, its texts are not made.
 * One rule, and a thousand of the kinds that people write; of requests that some rule allows and of
 * those that none does. Nanoseconds of processor time, least and median of interleaved rounds; the
 * limit is for the least, since others on the machine only add to it.
 */
import { fromJson } from "@bufbuild/protobuf";
import { AuthorizationPolicySchema } from "../api/gen/mesh/v1/access_pb.ts";
import { MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { compileAuthorization } from "../policy/authorization/compile-authorization.ts";
import { RequestFacts } from "../proxy/access/request-facts.ts";
import { ConnectionFacts } from "../proxy/policy/connection-facts.ts";
import { cpuMicros } from "./measure.ts";

const COUNT = 1_000;
const LIMIT_NS = 1_000;
const ROUNDS = 15;
const REQUESTS = 20_000;
const DIFFERENT = 64;

interface Kind {
  readonly name: string;
  readonly rules: readonly object[];
}

const many = (rule: (i: number) => object): readonly object[] =>
  Array.from({ length: COUNT }, (_, i) => rule(i));
const workload = (i: number): string => `cluster.local/ns/team-${i % 20}/sa/service-${i}`;
const path = (i: number): string => `/api/v1/resource-${i}`;

const kinds: readonly Kind[] = [
  { name: "1 rule, principal and path", rules: [byBoth(7)] },
  { name: `${COUNT} rules, principal and path`, rules: many(byBoth) },
  {
    name: `${COUNT} rules, prefixes of paths`,
    rules: many((i) => ({ to: [{ methods: ["GET"], paths: [`${path(i)}/*`] }] })),
  },
  {
    name: `${COUNT} rules, templates of paths`,
    rules: many((i) => ({ to: [{ paths: [`${path(i)}/{*}`] }] })),
  },
  {
    name: `${COUNT} rules, hosts and methods`,
    rules: many((i) => ({ to: [{ hosts: [`host-${i}.example.com`], methods: ["GET", "POST"] }] })),
  },
  {
    name: `${COUNT} rules, suffixes of hosts`,
    rules: many((i) => ({ to: [{ hosts: [`*t-${i}.example.com`] }] })),
  },
];

function byBoth(i: number): object {
  return {
    from: [{ principals: [workload(i)] }],
    to: [{ methods: ["GET"], paths: [`${path(i)}/item`] }],
  };
}

/** True: within the limit. */
export async function benchAuthz(): Promise<boolean> {
  const runs = kinds.flatMap((kind) =>
    (["allowed", "denied"] as const).map((outcome) => ({
      kind,
      outcome,
      ask: prepare(kind, outcome),
    })),
  );
  const figures = runs.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++)
    for (const [i, { ask }] of runs.entries()) {
      const startMicros = cpuMicros(process.pid);
      ask(REQUESTS);
      const ns = ((cpuMicros(process.pid) - startMicros) * 1_000) / REQUESTS;
      // The first round warms up.
      if (round > 0) figures[i]!.push(ns);
    }
  let isWithin = true;
  console.log("authz: ns of processor time a request          least  median");
  for (const [i, { kind, outcome }] of runs.entries()) {
    const sorted = [...figures[i]!].sort((a, b) => a - b);
    const [least, median] = [sorted[0]!, sorted[sorted.length >> 1]!];
    const late = least > LIMIT_NS;
    isWithin &&= !late;
    const name = `${kind.name}, ${outcome}`.padEnd(46);
    console.log(`${name} ${pad(least)} ${pad(median)}${late ? `  over ${LIMIT_NS}` : ""}`);
  }
  return isWithin;
}

function pad(ns: number): string {
  return ns.toFixed(0).padStart(7);
}

function prepare({ rules }: Kind, outcome: "allowed" | "denied"): (requests: number) => void {
  const policy = fromJson(AuthorizationPolicySchema, { action: "ACTION_ALLOW", rules } as never);
  const context = { trustDomains: ["cluster.local"], providers: new Set<string>() };
  const { http } = compileAuthorization([policy], context);
  const facts = new RequestFacts();
  const isKnown = outcome === "allowed";
  const asked = Array.from({ length: DIFFERENT }, (_, n) =>
    request(rules.length === 1 ? 7 : (n * 131) % COUNT, isKnown),
  );
  const expected = isKnown && rules.length > 1;
  let wrong = 0;
  return (requests) => {
    for (let i = 0; i < requests; i++) {
      const { head, connection } = asked[i % DIFFERENT]!;
      const { allowed } = http!.decide(facts.about(head, connection));
      if (expected && !allowed) wrong++;
    }
    if (wrong > 0) throw new Error(`authz: ${wrong} requests that should be allowed were not`);
  };
}

function request(i: number, isKnown: boolean) {
  const known = isKnown ? i : COUNT + i;
  const text = [
    `GET ${path(known)}/item?q=1 HTTP/1.1`,
    `Host: host-${known}.example.com`,
    "User-Agent: curl/8",
    "Accept: */*",
    "x-request-id: 7f2c1c7e-5f0b-4a54-9df1-0b6a3b6d2f10",
    "",
    "",
  ].join("\r\n");
  const bytes = Buffer.from(text);
  const head = new MessageHead();
  if (scanRequestHead(bytes, 0, bytes.length, head) <= 0) throw new Error(text);
  const address = { address: "10.0.0.7", port: 4_711 };
  const uris = [`spiffe://${workload(known)}`];
  const tls = { serverName: "", peer: { verified: true, names: { uris } } };
  return { head, connection: new ConnectionFacts(address, address, tls as never) };
}
