/** Which proxy is meant: its id, the start of its id, or the service that it stands for. */
import { type ProxyStatus, ProxyStatus_Sync as Sync } from "../api/gen/mesh/v1/config_pb.ts";
import { didYouMean } from "../core/suggestion.ts";
import { CtlError, EXIT } from "./command.ts";

export function findProxy(proxies: readonly ProxyStatus[], wanted: string): ProxyStatus {
  const exact = proxies.find(({ nodeId }) => nodeId === wanted);
  if (exact !== undefined) return exact;
  const found = proxies.filter(
    ({ nodeId, service }) =>
      nodeId.startsWith(wanted) || service === wanted || service.startsWith(`${wanted}.`),
  );
  const [only, more] = found;
  if (only !== undefined && more === undefined) return only;
  const list = (found.length > 0 ? found : proxies).map(({ nodeId }) => nodeId);
  if (found.length > 0)
    throw new CtlError(
      `${wanted} could be ${found.length} proxies`,
      EXIT.failed,
      `name one of ${list.join(", ")}`,
    );
  throw new CtlError(
    `no proxy is called ${wanted}`,
    EXIT.failed,
    didYouMean(wanted, list) ??
      (list.length === 0 ? "none is connected" : `connected are ${list.join(", ")}`),
  );
}

const syncNames: Readonly<Record<Sync, string>> = {
  [Sync.UNSPECIFIED]: "unknown",
  [Sync.SYNCED]: "synced",
  [Sync.STALE]: "stale",
  [Sync.REJECTED]: "rejected",
  [Sync.NOT_SENT]: "not-sent",
};

export function syncName(sync: Sync): string {
  return syncNames[sync];
}
