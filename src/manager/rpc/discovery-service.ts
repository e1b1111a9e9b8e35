/** What proxies ask: their configuration, and their place in the registry. */
import { Code, ConnectError, type ContextValues, type ServiceImpl } from "@connectrpc/connect";
import type {
  DiscoveryService,
  Node,
  RegistryService,
  Workload,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import { type Caller, callerOf } from "../../api/principal.ts";
import { isLoopbackAuthority } from "../../api/serve.ts";
import type { Access } from "../access/access.ts";
import { whileInForce } from "../access/expiry.ts";
import { accountOf } from "../access/own-identity.ts";
import { isBinary, UpdatePacker } from "../discovery/packed-update.ts";
import type { Manager } from "../manager.ts";
import { checkWorkload } from "../registry/workload-check.ts";

const TEXT_MAX = 253;
const LABELS_MAX = 64;

/** Without `access` everybody may say anything: in a transport in memory. */
export function discoveryService(
  { discovery, options: { clock } }: Manager,
  access: Access | undefined,
): ServiceImpl<typeof DiscoveryService> {
  const packer = new UpdatePacker();
  return {
    async *watch({ node, version }, { signal, requestHeader, values }) {
      const caller = callerOf(values);
      const said = withOwnAdmin(checkedNode(node), caller);
      const own = access?.admitNode(caller, said) ?? said;
      // Who follows under the same id may be made to give way.
      for (const one of discovery.nodesOf(own.id)) access?.checkNode(caller, one);
      const packs = isBinary(requestHeader.get("content-type"));
      const limit = whileInForce(caller, clock, access?.standing);
      const until = AbortSignal.any([signal, limit.signal]);
      try {
        for await (const update of discovery.watch(own, version, until))
          yield packs ? packer.pack(update) : update;
      } finally {
        limit.cancel();
      }
      if (limit.lapse !== "") throw access?.refuse(caller, `proxy ${own.id}`, limit.lapse);
    },
    acknowledge(acknowledgement, { values }) {
      for (const node of discovery.nodesOf(acknowledgement.nodeId))
        access?.checkNode(callerOf(values), node);
      if (discovery.acknowledge(acknowledgement)) return {};
      const { nodeId, version } = acknowledgement;
      throw new ConnectError(
        `${nodeId} was not sent version ${version} last`,
        discovery.isConnected(nodeId) ? Code.FailedPrecondition : Code.NotFound,
      );
    },
  };
}

export function registryService(
  { local, options: { leaseMs } }: Manager,
  access: Access | undefined,
): ServiceImpl<typeof RegistryService> {
  /** Of what is there already, too: it is about to be replaced, kept or removed. */
  const check = (values: ContextValues, workloads: readonly (Workload | undefined)[]): void => {
    for (const workload of workloads)
      if (workload !== undefined) access?.checkWorkload(callerOf(values), workload);
  };
  return {
    register({ workload: given }, { values }) {
      const caller = callerOf(values);
      const said = checkedWorkload(given);
      const workload = access?.admitWorkload(caller, said) ?? said;
      check(values, [local.workloadOf(workload.id)]);
      const serviceAccount = workload.serviceAccount || accountOf(caller.principal);
      const origin = access?.originOf(caller) ?? "";
      const id = local.register({ ...workload, serviceAccount }, origin);
      if (id === undefined)
        throw new ConnectError("too many workloads are registered", Code.ResourceExhausted);
      return { id, ttlMs: leaseMs };
    },
    renew({ leaseId, healthy }, { values }) {
      check(values, [local.workloadByLease(leaseId)]);
      if (!local.renew(leaseId, healthy))
        throw new ConnectError("the lease has ended: register again", Code.NotFound);
      return { id: leaseId, ttlMs: leaseMs };
    },
    withdraw({ leaseId }, { values }) {
      check(values, [local.workloadByLease(leaseId)]);
      local.withdraw(leaseId);
      return {};
    },
  };
}

function checkedNode(node: Node | undefined): Node {
  if (node === undefined || node.id === "" || node.id.length > TEXT_MAX)
    throw new ConnectError("node.id: 1 to 253 characters are needed", Code.InvalidArgument);
  const tooLong = [node.service, node.namespace, node.address, node.adminAddress].some(
    (text) => text.length > TEXT_MAX,
  );
  if (tooLong || Object.keys(node.labels).length > LABELS_MAX)
    throw new ConnectError("node: a field is too long", Code.InvalidArgument);
  return node;
}

/** An admin port is on its host's loopback: of another host it would be somebody's here. */
function withOwnAdmin(node: Node, { principal, address }: Caller): Node {
  if (principal.kind !== "workload" || isLoopbackAuthority(address)) return node;
  return { ...node, adminAddress: "" };
}

function checkedWorkload(workload: Workload | undefined): Workload {
  if (workload === undefined) throw new ConnectError("workload: missing", Code.InvalidArgument);
  const problems = checkWorkload(workload);
  if (problems.length > 0) throw new ConnectError(problems.join("\n"), Code.InvalidArgument);
  return workload;
}
