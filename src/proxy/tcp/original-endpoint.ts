/**
 * The endpoint of a cluster without a list, for a connection: where the client wanted to go; or,
 * where it called a listener of ours by its address, the host that the cluster is for.
 */
import type { SocketAddress } from "../../io/socket-address.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { encode } from "../route/byte-range.ts";

/** Undefined: no address is known, or too many are in use. */
export function originalEndpoint(
  cluster: Cluster,
  destination: SocketAddress | undefined,
): Endpoint | undefined {
  const { service, port } = cluster.settings;
  if (destination === undefined && (port === 0 || !isOneHost(service))) return undefined;
  const { address } = destination ?? { address: service };
  const host = address.includes(":") ? `[${address}]` : address;
  const bytes = encode(`${host}:${destination?.port ?? port}`);
  return cluster.pickOriginal(bytes, 0, bytes.length, 0);
}

function isOneHost(service: string): boolean {
  return service !== "" && !service.startsWith("*") && !service.includes("/");
}
