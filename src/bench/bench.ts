/**
 * bun run bench [authz] [capture] [edge] [flood] [grpc] [h1] [h2] [hop] [log] [memory] [mixer]
 *   [mtls] [openloop] [policy] [slow] [soak] [tcp] [tls] [workers] [--rounds N] [--seconds N]
 *   [--connections 1,8] [--only …]
 *   [--former PATH of an earlier build, to be measured beside this one]
 *
 * Benchmarks beside real peers, as ratios in one run. Build first: the binary is what is measured.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { benchAuthz } from "./authz.ts";
import { benchCapture } from "./capture.ts";
import { benchEdge } from "./edge.ts";
import { benchFlood } from "./flood.ts";
import { benchH1 } from "./h1.ts";
import { benchGrpc, benchH2 } from "./h2.ts";
import { benchHop } from "./hop.ts";
import { benchLog } from "./log.ts";
import { benchMemory } from "./memory.ts";
import { benchMtls } from "./mtls.ts";
import { benchOpenLoop } from "./open-loop.ts";
import { benchPolicy } from "./policy.ts";
import { benchPolicyEngine } from "./policy-engine.ts";
import { benchMixerAway } from "./policy-mixer-away.ts";
import { benchPolicyTelemetry } from "./policy-telemetry.ts";
import { benchSlow } from "./slow.ts";
import { benchSoak } from "./soak.ts";
import { benchTcp } from "./tcp.ts";
import { benchTls } from "./tls.ts";
import { benchWorkers } from "./workers.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "" },
    seconds: { type: "string", default: "" },
    connections: { type: "string", default: "1,8,64,256" },
    only: { type: "string", default: "" },
    former: { type: "string", default: "" },
  },
});
const options = {
  connections: values.connections.split(",").map(Number),
  only: values.only === "" ? [] : values.only.split(","),
  former: values.former === "" ? "" : resolve(values.former),
};
const rounds = (usual: number): number => Number(values.rounds || usual);
const seconds = (usual: number): number => Number(values.seconds || usual);
const benchmarks: Readonly<Record<string, () => Promise<void>>> = {
  authz: async () => {
    if (!(await benchAuthz())) process.exitCode = 1;
  },
  capture: () => benchCapture({ ...options, rounds: rounds(5), seconds: seconds(1) }),
  edge: () => benchEdge({ ...options, rounds: rounds(3), seconds: seconds(3) }),
  flood: () => benchFlood({ ...options, rounds: rounds(3), seconds: seconds(1) }),
  h1: () => benchH1({ ...options, rounds: rounds(3), seconds: seconds(3) }),
  h2: () => benchH2({ ...options, rounds: rounds(5), seconds: seconds(2) }),
  grpc: () => benchGrpc({ ...options, rounds: rounds(5), seconds: seconds(2) }),
  hop: () => benchHop({ ...options, rounds: rounds(3), seconds: seconds(3) }),
  log: () => benchLog({ ...options, rounds: rounds(24), seconds: seconds(0.6) }),
  memory: () => benchMemory(),
  mtls: async () => {
    if (!(await benchMtls({ ...options, rounds: rounds(5), seconds: seconds(3) })))
      process.exitCode = 1;
  },
  mixer: async () => {
    if (!(await benchMixerAway(rounds(5), seconds(1)))) process.exitCode = 1;
  },
  openloop: () => benchOpenLoop({ ...options, rounds: rounds(5), seconds: seconds(2) }),
  policy: async () => {
    if (!(await benchPolicyEngine())) process.exitCode = 1;
    await benchPolicyTelemetry();
    const proxied = { ...options, rounds: rounds(7), seconds: seconds(2) };
    if (!(await benchPolicy(proxied))) process.exitCode = 1;
  },
  slow: () => benchSlow(),
  soak: async () => {
    if (!(await benchSoak(seconds(600)))) process.exitCode = 1;
  },
  tcp: () => benchTcp({ ...options, rounds: rounds(3), seconds: seconds(3) }),
  tls: () => benchTls({ ...options, rounds: rounds(3), seconds: seconds(3) }),
  workers: () => benchWorkers({ ...options, rounds: rounds(3), seconds: seconds(3) }),
};
/** All but the one that takes ten minutes. */
const usual = Object.keys(benchmarks).filter((name) => name !== "soak");
const wanted = positionals.length === 0 ? usual : positionals;
for (const name of wanted) {
  const run = benchmarks[name];
  if (run === undefined) {
    console.error(`bench: no "${name}"; there is: ${Object.keys(benchmarks).join(", ")}`);
    process.exit(2);
  }
  await run();
}
