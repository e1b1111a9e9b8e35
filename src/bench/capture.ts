/**
 * A mesh hop whose connections the kernel leads to the sidecars, beside the same hop called by
 * the sidecars' own ports: one client, one service, the same two processes, in two network
 * namespaces joined by a cable, which this makes itself and for which it needs root.
 *
 *   explicit   wrk ─▶ 127.0.0.1:15001 ─▶ near ─▶ 10.123.0.2:15006 ─▶ far ─▶ nginx
 *   captured   wrk ─▶ 10.96.0.1:9080 ⇢ near ─▶ 10.123.0.2:9080 ⇢ far ─▶ nginx
 *
 * --only kept: requests on connections that are there; --only new: a connection for each request.
 * Rules of nat are in force for both, so connection tracking costs both the same.
 */
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cable, cable, type Host, missing } from "../testing/network-namespace.ts";
import type { H1Options } from "./h1.ts";
import { cpuMicros, median, pinned, type Sample, wrk } from "./measure.ts";
import { BODY, meshBinary, nginxConfig } from "./peer.ts";

const PROXY_USER = 1337;
const APP_PORT = 9080;
const START_MS = 10_000;
const WARM_UP_SECONDS = 6;
const ENOUGH = 1.05;

const variants = [
  { name: "explicit", url: "http://127.0.0.1:15001/", host: `explicit.example:${APP_PORT}` },
  { name: "captured", url: `http://10.96.0.1:${APP_PORT}/`, host: `captured.example:${APP_PORT}` },
] as const;

type Variant = (typeof variants)[number];

const loads = [
  { name: "kept", what: "kept connections", fields: [] },
  { name: "new", what: "a connection for each request", fields: ["Connection: close"] },
] as const;

type Kind = (typeof loads)[number];

/** The two names lead to the same application: past the far sidecar's port, or at it. */
const SERVICES = ["explicit", "captured"]
  .map((name) => {
    const port = name === "explicit" ? 15006 : APP_PORT;
    return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example]
  addresses: [${name === "explicit" ? "10.96.0.2" : "10.96.0.1"}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${APP_PORT}, name: http, protocol: HTTP, targetPort: ${port} }]
  endpoints: [{ address: 10.123.0.2 }]
`;
  })
  .join("---\n");

export async function benchCapture(options: H1Options): Promise<void> {
  if (missing !== "") return console.log(`capture: left out: there is no ${missing}`);
  const { only } = options;
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  chownSync(directory, PROXY_USER, PROXY_USER);
  const hosts = await cable();
  const running: Bun.Subprocess[] = [];
  try {
    const sidecars = await startAll(directory, hosts, running);
    const wanted = loads.filter(({ name }) => only.length === 0 || only.includes(name));
    for (const variant of variants)
      for (const kind of wanted)
        await measure(variant, kind, {
          hosts,
          sidecars,
          connections: 64,
          seconds: WARM_UP_SECONDS,
        });
    for (const kind of wanted)
      for (const connections of options.connections)
        await report(kind, connections, { ...options, hosts, sidecars });
  } finally {
    for (const child of running.reverse()) child.kill();
    await Promise.all(running.map(({ exited }) => exited));
    await hosts.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Place {
  readonly hosts: Cable;
  /** Process ids. */
  readonly sidecars: readonly number[];
}

async function startAll(
  directory: string,
  { near, far }: Cable,
  running: Bun.Subprocess[],
): Promise<number[]> {
  const home = join(directory, "nginx");
  mkdirSync(home);
  const server = `listen ${APP_PORT} backlog=4096; location / { return 200 "${BODY}"; }`;
  writeFileSync(join(home, "nginx.conf"), nginxConfig(home, `server { ${server} }`));
  running.push(far.start(pinned(["nginx", "-p", home, "-c", join(home, "nginx.conf")])));
  const rules = join(directory, "services.yaml");
  writeFileSync(rules, SERVICES);
  const user = String(PROXY_USER);
  const sidecar = async (host: Host, port: number, flags: readonly string[]): Promise<number> => {
    const as = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"];
    const state = ["--state-dir", join(directory, host.name), "--access-log", "none"];
    const child = host.start(pinned([...as, meshBinary, "proxy", ...state, ...flags]));
    running.push(child);
    await untilOpen(host, port);
    return child.pid;
  };
  await untilOpen(far, APP_PORT);
  const serving = ["--manager", "none", "--service", "web", "--app-port", String(APP_PORT)];
  const pids = [
    await sidecar(far, 15006, [...serving, "--inbound", "0.0.0.0:15006"]),
    await sidecar(near, 15001, ["--standalone", "-f", rules]),
  ];
  await far.must(meshBinary, "ctl", "iptables", "--apply", "-i", "");
  await near.must(meshBinary, "ctl", "iptables", "--apply", "-b", "");
  return pids;
}

async function untilOpen(host: Host, port: number): Promise<void> {
  const deadlineMs = performance.now() + START_MS;
  while ((await host.run(["bash", "-c", `: < /dev/tcp/127.0.0.1/${port}`])).code !== 0) {
    if (performance.now() > deadlineMs) throw new Error(`port ${port} is not opened`);
    await Bun.sleep(50);
  }
}

async function report(
  kind: Kind,
  connections: number,
  { rounds, seconds, ...place }: H1Options & Place,
): Promise<void> {
  const samples: Record<Variant["name"], Sample[]> = { explicit: [], captured: [] };
  for (let round = 0; round < rounds; round++)
    for (const variant of round % 2 === 0 ? variants : variants.toReversed())
      samples[variant.name].push(await measure(variant, kind, { ...place, connections, seconds }));
  console.log(
    `\n${connections} connections, ${kind.what}: processor µs a request (both sidecars);`,
    "requests/s; p50, p99 ms; failed",
  );
  const of = (name: Variant["name"], key: keyof Sample): number =>
    median(samples[name].map((row) => row[key]));
  const keys = ["cpuMicros", "perSecond", "p50Ms", "p99Ms", "errors"] as const;
  for (const { name } of variants) {
    const cells = keys.map((key) => of(name, key).toFixed(2).padStart(9));
    console.log(`  ${name.padEnd(10)} ${cells.join(" ")}`);
  }
  // Of neighbours in time: what else the machine does moves both.
  const ratio = (key: keyof Sample): number =>
    median(samples.captured.map((row, i) => row[key] / samples.explicit[i]![key]));
  const ratios = keys.slice(0, 4).map((key) => ratio(key).toFixed(3).padStart(9));
  const isDearer = ratio("cpuMicros") > ENOUGH || ratio("perSecond") < 1 / ENOUGH;
  console.log(`  ratio      ${ratios.join(" ")}${isDearer ? "  more than 5 % dearer" : ""}`);
}

async function measure(
  { url, host }: Variant,
  { fields }: Kind,
  { hosts, sidecars, ...load }: Place & { readonly connections: number; readonly seconds: number },
): Promise<Sample> {
  const used = (): number => sidecars.reduce((sum, pid) => sum + cpuMicros(pid), 0);
  const within = ["ip", "netns", "exec", hosts.near.name];
  const before = used();
  const result = await wrk({ ...load, url, host, fields, within });
  return { ...result, cpuMicros: (used() - before) / result.requests };
}
