/**
 * The identity that callers may expect of an instance: where its proxy takes mutual TLS, and nobody
 * said that it does not.
 */
import { formatSpiffeId, isIdSegment } from "../../core/spiffe-id.ts";
import type { ServiceInstance } from "../../model/service.ts";
import { type MutualTlsInForce, mutualTlsOf } from "./access.ts";
import type { AccessSet } from "./access-object.ts";
import { formatLabels } from "./labels.ts";

/** `trustDomain`: empty where nobody has an identity. */
export function withIdentities(
  instances: readonly ServiceInstance[],
  access: AccessSet,
  trustDomain: string,
): readonly ServiceInstance[] {
  if (trustDomain === "") return instances;
  // Copies of one workload have the same, and there may be many.
  const known = new Map<string, MutualTlsInForce>();
  const inForce = ({ host, labels, namespace }: ServiceInstance): MutualTlsInForce => {
    const own = namespace ?? namespaceOf(host);
    return known.getOrInsertComputed(`${host}|${own}|${formatLabels(labels)}`, () =>
      mutualTlsOf(access, { service: host, namespace: own, labels }),
    );
  };
  return instances.map((instance) => {
    const account = instance.mutualTls ? accountOf(instance) : undefined;
    if (account === undefined) return instance;
    const { mode, ports } = inForce(instance);
    const { appPort = instance.servicePort } = instance;
    if ((ports[appPort] ?? mode) === "DISABLE") return instance;
    return { ...instance, identity: formatSpiffeId({ trustDomain, ...account }) };
  });
}

function namespaceOf(host: string): string {
  const [, namespace = "", svc] = host.split(".");
  return svc === "svc" ? namespace : "default";
}

/** "default/reviews"; without one the account that is named as the service. */
function accountOf({ host, namespace, serviceAccount = "" }: ServiceInstance) {
  const [name = "", rest = "", svc] = host.split(".");
  const own = namespace ?? namespaceOf(host);
  const isService = svc === "svc" || rest === "";
  const written = serviceAccount === "" ? (isService ? name : "") : serviceAccount;
  const [first = "", second, ...others] = written.split("/");
  const account =
    second === undefined
      ? { namespace: own, account: first }
      : { namespace: first, account: second };
  const isId = isIdSegment(account.namespace) && isIdSegment(account.account);
  return isId && others.length === 0 ? account : undefined;
}
