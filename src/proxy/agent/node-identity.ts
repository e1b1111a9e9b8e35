/**
 * Who this proxy is in the mesh: an id, an address that others reach, and a key for its files.
 *
 * Where it serves, the id follows from the address, so that a proxy that is started again (after a
 * crash, or as a successor on the same ports) replaces its former registration.
 */
import { networkInterfaces, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Random } from "../../core/random.ts";
import { isLoopbackUrl, type ProxyFlags } from "../flags.ts";

/** "reviews-1x8k2m.default" */
export function nodeId(flags: ProxyFlags, inboundAddress: string, random: Random): string {
  if (flags.id !== undefined) return flags.id;
  const isGateway = flags.mode === "gateway";
  const nameless = isGateway ? "gateway" : "proxy";
  const short = flags.service === "" ? nameless : flags.service.split(".")[0];
  const address = isGateway && flags.http.port !== 0 ? edgeKey(flags) : inboundAddress;
  const salt = address === "" ? String(random()) : address;
  return `${short}-${digest(`${flags.service} ${salt}`)}.${flags.namespace}`;
}

/**
 * As told; else where the inbound port is bound; else loopback if the manager is on this host, as
 * on a laptop; else the first address of this host that is not loopback.
 */
export function advertisedAddress(flags: ProxyFlags): string {
  if (flags.advertise !== undefined) return flags.advertise;
  const { hostname } = flags.inbound;
  if (hostname !== "0.0.0.0" && hostname !== "::") return hostname;
  if (flags.standalone || flags.manager === undefined || isLoopbackUrl(flags.manager)) {
    return "127.0.0.1";
  }
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const own = all.find(({ family, internal }) => family === "IPv4" && !internal);
  return own?.address ?? "127.0.0.1";
}

/** The same for each start with the same flags, different for two proxies side by side. */
export function stateKey(flags: ProxyFlags): string {
  const { service, namespace, id = "", app, inbound, outbound } = flags;
  const own = flags.mode === "gateway" ? [flags.http.port, flags.https.port] : [];
  const ports = [inbound.port, outbound.port, app?.port ?? 0, ...own].join("-");
  const name = service === "" ? namespace : service.split(".").slice(0, 2).join(".");
  return `${name}-${ports}-${digest(`${service} ${namespace} ${id} ${app?.hostname ?? ""}`)}`;
}

/** What two gateways side by side do not share. */
function edgeKey({ http, https }: ProxyFlags): string {
  return `${http.hostname}:${http.port} ${https.hostname}:${https.port}`;
}

/** Six letters and digits. */
function digest(text: string): string {
  return Bun.hash.wyhash(text).toString(36).slice(-6).padStart(6, "0");
}

/** sockaddr_un holds 108 bytes with the final zero; ".<pid>" is appended for a moment. */
const SOCKET_PATH_MAX = 107 - 9;

/** Where a proxy waits for its successor. */
export function handoverPath(flags: ProxyFlags): string {
  const key = stateKey(flags);
  const path = resolve(flags.stateDir, `${key}.sock`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) return path;
  return join(tmpdir(), `mesh-${process.getuid?.() ?? 0}-${digest(path)}.sock`);
}
