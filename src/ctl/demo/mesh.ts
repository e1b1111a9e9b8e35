/**
 * Bookinfo as a mesh on loopback: one manager, a sidecar for every instance of every service, and
 * the services themselves, each a real process started as a user would start it.
 */
import { join } from "node:path";
import { ProxyStatus_Sync as Sync } from "../../api/gen/mesh/v1/config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Manager } from "../client.ts";
import { httpGet } from "../http-get.ts";
import { pickPort, pickPorts } from "./port.ts";
import type { Supervisor } from "./supervisor.ts";

const SERVICE_PORT = 9080;

interface Workload {
  readonly service: string;
  readonly version: string;
}

const workloads: readonly Workload[] = [
  { service: "details", version: "v1" },
  { service: "ratings", version: "v1" },
  { service: "reviews", version: "v1" },
  { service: "reviews", version: "v2" },
  { service: "reviews", version: "v3" },
  { service: "productpage", version: "v1" },
];

export interface DemoPorts {
  readonly page: number;
  readonly manager: number;
  readonly dashboard: number;
}

/** With the outbound port of the sidecar of details: by it one asks as details would. */
export interface MeshPorts extends DemoPorts {
  readonly details: number;
}

export const usualPorts: DemoPorts = { page: 9080, manager: 15010, dashboard: 8080 };

/** The usual ones where they are free. */
export async function pickDemoPorts(wanted: DemoPorts): Promise<MeshPorts> {
  return {
    page: await pickPort(wanted.page),
    manager: await pickPort(wanted.manager),
    dashboard: await pickPort(wanted.dashboard),
    details: await pickPort(0),
  };
}

export interface MeshOptions {
  readonly supervisor: Supervisor;
  readonly manager: Manager;
  readonly self: readonly string[];
  readonly directory: string;
  readonly ports: MeshPorts;
  readonly clock: Clock;
  /** Rejects when a child ends, or somebody ends all: then nothing more is to be waited for. */
  readonly ended: Promise<never>;
  readonly onProgress: (what: string) => void;
}

export const sidecarCount = workloads.length + 1;

const START_MS = 60_000;
const LOOK_MS = 50;

/** Resolves when the page comes through every sidecar. */
export async function startMesh(options: MeshOptions): Promise<void> {
  const { supervisor, manager, directory, ports, onProgress } = options;
  supervisor.start("manager", [
    "manager",
    ...["--listen", `127.0.0.1:${ports.manager}`, "--http", `127.0.0.1:${ports.dashboard}`],
    ...["--metrics", "127.0.0.1:0", "--data-dir", join(directory, "manager")],
  ]);
  onProgress("manager");
  await until(options, "the manager", () => manager.status.getVersion({}).then(() => true));
  const appPorts = await pickPorts(workloads.length);
  for (const [i, workload] of workloads.entries()) startSidecar(options, workload, appPorts[i]!);
  startSidecar(options, { service: "edge", version: "v1" }, ports.page);
  await until(options, "the sidecars", async () => {
    const { proxies } = await manager.status.listProxies({});
    const synced = proxies.filter(({ sync }) => sync === Sync.SYNCED).length;
    const { services } = await manager.status.listServices({});
    const instances = services.flatMap((service) => service.instances);
    const healthy = instances.filter((instance) => instance.healthy).length;
    onProgress(`${Math.min(synced, healthy)} of ${sidecarCount} sidecars`);
    return synced >= sidecarCount && healthy >= sidecarCount;
  });
  onProgress("the page");
  await until(options, "the page", () => pageIsWhole(`${pageUrl(ports)}`));
}

export function pageUrl(ports: DemoPorts): string {
  return `http://127.0.0.1:${ports.page}/productpage`;
}

function startSidecar(options: MeshOptions, workload: Workload, appPort: number): void {
  const { supervisor, manager, self, directory, ports } = options;
  const { service, version } = workload;
  const name = `${service}-${version}`;
  supervisor.start(name, [
    "proxy",
    ...["--service", `${service}.default`, "--labels", `app=${service},version=${version}`],
    ...["--id", name, "--manager", manager.url, "--app-port", String(appPort)],
    ...["--service-port", String(SERVICE_PORT), "--state-dir", join(directory, "state", name)],
    ...["--outbound", `127.0.0.1:${service === "details" ? ports.details : 0}`],
    ...["inbound", "admin", "readiness"].flatMap((n) => [`--${n}`, "127.0.0.1:0"]),
    ...["--drain-seconds", "1", "--"],
    ...[...self, "ctl", "demo-service", service],
    ...["--port", String(appPort), "--version", version],
  ]);
}

async function pageIsWhole(url: string): Promise<boolean> {
  const { status, headers } = await httpGet(url, { timeoutMs: 5_000 });
  return (
    status === 200 &&
    headers["x-bookinfo-details"] === "v1" &&
    headers["x-bookinfo-reviews"] !== "unavailable" &&
    headers["x-bookinfo-ratings"] !== "unavailable"
  );
}

async function until(
  { clock, ended }: MeshOptions,
  what: string,
  isTrue: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = clock.nowMs() + START_MS;
  for (;;) {
    const done = await Promise.race([isTrue().catch(() => false), ended]);
    if (done) return;
    if (clock.nowMs() > deadlineMs)
      throw new Error(`${what} did not come up within ${START_MS / 1000} s`);
    await Promise.race([new Promise<void>((resolve) => clock.after(LOOK_MS, resolve)), ended]);
  }
}
