/** What proxies ask: their configuration, and their place in the registry. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  DiscoveryService,
  Node,
  RegistryService,
  Workload,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import { isBinary, UpdatePacker } from "../discovery/packed-update.ts";
import type { Manager } from "../manager.ts";
import { checkWorkload } from "../registry/workload-check.ts";

const TEXT_MAX = 253;
const LABELS_MAX = 64;

export function discoveryService({ discovery }: Manager): ServiceImpl<typeof DiscoveryService> {
  const packer = new UpdatePacker();
  return {
    async *watch({ node, version }, { signal, requestHeader }) {
      const packs = isBinary(requestHeader.get("content-type"));
      for await (const update of discovery.watch(checkedNode(node), version, signal))
        yield packs ? packer.pack(update) : update;
    },
    acknowledge(acknowledgement) {
      if (discovery.acknowledge(acknowledgement)) return {};
      const { nodeId, version } = acknowledgement;
      throw new ConnectError(
        `${nodeId} was not sent version ${version} last`,
        discovery.isConnected(nodeId) ? Code.FailedPrecondition : Code.NotFound,
      );
    },
  };
}

export function registryService({
  local,
  options: { leaseMs },
}: Manager): ServiceImpl<typeof RegistryService> {
  return {
    register({ workload }) {
      const id = local.register(checkedWorkload(workload));
      if (id === undefined)
        throw new ConnectError("too many workloads are registered", Code.ResourceExhausted);
      return { id, ttlMs: leaseMs };
    },
    renew({ leaseId, healthy }) {
      if (!local.renew(leaseId, healthy))
        throw new ConnectError("the lease has ended: register again", Code.NotFound);
      return { id: leaseId, ttlMs: leaseMs };
    },
    withdraw({ leaseId }) {
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

function checkedWorkload(workload: Workload | undefined): Workload {
  if (workload === undefined) throw new ConnectError("workload: missing", Code.InvalidArgument);
  const problems = checkWorkload(workload);
  if (problems.length > 0) throw new ConnectError(problems.join("\n"), Code.InvalidArgument);
  return workload;
}
