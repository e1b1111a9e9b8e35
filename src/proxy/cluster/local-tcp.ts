/** The application of this proxy, called as it is: connections that are no requests. */
import type { HostPort, ProxyFlags } from "../flags.ts";
import type { LocalApplication } from "./make-cluster.ts";

const CONNECT_MS = 5_000;

export function localTcp(
  app: HostPort,
  { service, tproxyMark, labels }: ProxyFlags,
): LocalApplication {
  const version = labels.version ?? "";
  return { ...app, service, version, connectTimeoutMs: CONNECT_MS, tproxyMark, protocol: "tcp" };
}
