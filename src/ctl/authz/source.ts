/** Who calls, as it is named on a command line: a service, a SPIFFE id, or nobody known. */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";

export interface CallSource {
  /** "cluster.local/ns/default/sa/web"; "": it proves nothing. */
  readonly principal: string;
  /** "": not known. */
  readonly address: string;
  /** How it came to be so; "": as it was written. */
  readonly note: string;
}

const SPIFFE = "spiffe://";
const DOMAIN = "cluster.local";

/** `config`: of a proxy, which knows where services are and who they are. */
export function sourceOf(written: string, config: ProxyConfig | undefined): CallSource {
  if (written === "anonymous" || written === "-") return { principal: "", address: "", note: "" };
  if (written.startsWith(SPIFFE))
    return { principal: written.slice(SPIFFE.length), address: "", note: "" };
  if (written.includes("/")) return { principal: written, address: "", note: "" };
  const [name = "", namespace = "default"] = written.split(".");
  const endpoints = endpointsOf(name, namespace, config);
  const identities = [...new Set(endpoints.map(({ identity }) => identity))].filter(
    (identity) => identity !== "",
  );
  const address = endpoints[0]?.address ?? "";
  const [identity, other] = identities;
  if (identity !== undefined) {
    const note = other === undefined ? "" : `${written} runs as ${identities.join(" and ")}`;
    return { principal: identity.slice(SPIFFE.length), address, note };
  }
  const domain = config?.trust?.trustDomain || DOMAIN;
  const principal = `${domain}/ns/${namespace}/sa/${name}`;
  return { principal, address, note: `${written} is taken to run as ${principal}` };
}

function endpointsOf(name: string, namespace: string, config: ProxyConfig | undefined) {
  const host = `${name}.${namespace}.`;
  const clusters = new Set(
    config?.clusters.filter(({ service }) => service.startsWith(host)).map((one) => one.name),
  );
  return (config?.endpointSets ?? [])
    .filter(({ cluster }) => clusters.has(cluster))
    .flatMap(({ endpoints }) => endpoints);
}
