/** What a gateway listens on, and whom it believes. */
import {
  Gateway_ClientCertDetails as Details,
  type Gateway,
  type Listener,
  Listener_Protocol,
  type ProxyConfig,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ClientCertDetails, EdgeRules } from "../filter/edge-fields.ts";
import { HostTable } from "../route/host-table.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import { EdgeListener, type EdgeListenerFacts } from "./edge-listener.ts";
import type { ProblemList } from "./problem-list.ts";

/** More hops than any chain of proxies has. */
const TRUSTED_PROXIES_MAX = 64;

/** `tables`: hosts by the listener that they name. */
export function compileEdges(
  { settings }: ProxyConfig,
  tables: ReadonlyMap<string, HostTable<VirtualHost>>,
  problems: ProblemList,
): readonly EdgeListener[] {
  const { listeners = [], proxyProtocol: proxied = false } = settings?.gateway ?? {};
  const names = new Set<string>();
  const ports = new Set<number>();
  const edges = listeners.map((listener) => {
    const here = problems.at(`settings.gateway.listeners[${listener.name}]`);
    if (names.has(listener.name)) here.add("another listener has this name");
    if (ports.has(listener.port)) here.add(`another listener has port ${listener.port}`);
    names.add(listener.name);
    ports.add(listener.port);
    const hosts = tables.get(listener.name) ?? new HostTable<VirtualHost>([]);
    return new EdgeListener({ ...factsOf(listener, here), proxied }, hosts);
  });
  for (const name of tables.keys())
    if (!names.has(name)) problems.at("virtual_hosts").add(`no listener is named "${name}"`);
  return edges;
}

function factsOf(
  { name, port, protocol, certificates, passesTls }: Listener,
  problems: ProblemList,
): Omit<EdgeListenerFacts, "proxied"> {
  const secure = protocol === Listener_Protocol.HTTPS;
  if (name === "") problems.add("has no name");
  if (port < 1 || port > 65_535) problems.add(`${port} is not a port`);
  if (!secure && protocol !== Listener_Protocol.HTTP) problems.add(`protocol ${protocol}`);
  if (secure && certificates.length === 0 && !passesTls)
    problems.add("speaks TLS and has no certificate");
  if (!secure && passesTls) problems.add("passes TLS on and speaks none");
  if (!secure && certificates.length > 0) problems.add("has certificates and speaks no TLS");
  for (const one of certificates) if (one.name === "") problems.add("a certificate has no name");
  return {
    name,
    port,
    secure,
    passesTls,
    certificates: certificates.map((one) => ({ name: one.name, hosts: one.hosts })),
  };
}

const details: Readonly<Record<Details, ClientCertDetails>> = {
  [Details.UNSPECIFIED]: "SANITIZE_SET",
  [Details.SANITIZE]: "SANITIZE",
  [Details.FORWARD_ONLY]: "FORWARD_ONLY",
  [Details.APPEND_FORWARD]: "APPEND_FORWARD",
  [Details.SANITIZE_SET]: "SANITIZE_SET",
  [Details.ALWAYS_FORWARD_ONLY]: "ALWAYS_FORWARD_ONLY",
};

/** What is unknown here is read as what is safe. */
export function compileEdgeRules(gateway: Gateway | undefined): EdgeRules {
  return {
    trustedProxies: Math.min(gateway?.trustedProxies ?? 0, TRUSTED_PROXIES_MAX),
    clientCert: details[gateway?.clientCertDetails ?? Details.UNSPECIFIED] ?? "SANITIZE_SET",
  };
}
