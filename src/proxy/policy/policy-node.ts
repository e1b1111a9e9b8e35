/** The workload of a proxy in the words of policy, from how the proxy was started. */
import { addressText } from "../../api/address.ts";
import type { Random } from "../../core/random.ts";
import { MESH_VERSION } from "../../core/version.ts";
import { advertisedAddress, nodeId } from "../agent/node-identity.ts";
import type { HostPort, ProxyFlags } from "../flags.ts";
import type { PolicyNode } from "./workload.ts";

/** `inbound`: where its listener is bound; undefined: nobody calls it. */
export function policyNode(
  flags: ProxyFlags,
  inbound: HostPort | undefined,
  random: Random,
): PolicyNode {
  const { service, namespace, labels, mode } = flags;
  const hostname = advertisedAddress(flags);
  const address = inbound === undefined ? "" : addressText({ hostname, port: inbound.port });
  const id = nodeId(flags, address, random);
  return { id, service, namespace, labels, address: hostname, version: MESH_VERSION, mode };
}
