/** Which services and instances may exist. Spec tables: manager 1.11, 2.1. */
import type { Service, ServicePort } from "./service.ts";
import { checkIpAddress, checkPort, checkUnixPath } from "./validate-address.ts";
import { type Complaint, checkFqdn, checkLabel, checkPortName } from "./validate-name.ts";

/** Everything that is wrong; empty if nothing is. */
export function checkService(service: Pick<Service, "host" | "ports">): readonly string[] {
  const complaints: string[] = [];
  const host = checkFqdn(service.host);
  if (host !== undefined) complaints.push(`host "${service.host}" ${host}`);
  const { ports } = service;
  if (ports.length === 0) complaints.push("must have at least one port");
  const names = new Set<string>();
  for (const { name, number } of ports) {
    const port = checkPort(number);
    if (port !== undefined) complaints.push(`port ${number} ${port}`);
    if (name === "" && ports.length === 1) continue;
    const complaint = name === "" ? "must have a name beside others" : checkPortName(name);
    if (complaint !== undefined) complaints.push(`port "${name || number}" ${complaint}`);
    else if (names.has(name)) complaints.push(`port name "${name}" is given twice`);
    names.add(name);
  }
  return complaints;
}

/** An instance as a registry tells of it: where it listens, and for which port of its service. */
export interface Endpoint {
  readonly port: number;
  readonly servicePort: ServicePort | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** Everything that is wrong; empty if nothing is. */
export function checkInstance(
  endpoint: Endpoint,
  service: Pick<Service, "host" | "ports"> | undefined,
): readonly string[] {
  const complaints: string[] = [];
  if (service === undefined) complaints.push("must belong to a service");
  else complaints.push(...checkService(service));
  const port = checkPort(endpoint.port);
  if (port !== undefined) complaints.push(`port ${endpoint.port} ${port}`);
  for (const [key, value] of Object.entries(endpoint.labels)) {
    const complaint = checkLabel(key, value);
    if (complaint !== undefined) complaints.push(`label ${complaint}`);
  }
  const { servicePort } = endpoint;
  const known = service?.ports.some((one) => isSamePort(one, servicePort)) ?? true;
  if (!known) complaints.push("must stand for a port of its service");
  return complaints;
}

function isSamePort(a: ServicePort, b: ServicePort | undefined): boolean {
  return a.name === b?.name && a.number === b.number && a.protocol === b.protocol;
}

/** Where an instance listens: an IP address, or the path of a socket. */
export function checkEndpointAddress(address: string, family: "ip" | "unix"): Complaint {
  return family === "unix" ? checkUnixPath(address) : checkIpAddress(address);
}
