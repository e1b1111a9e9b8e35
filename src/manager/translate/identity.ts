/**
 * The identity that callers may expect of an instance: where its proxy takes mutual TLS, and nobody
 * said that it does not.
 */
import { formatSpiffeId, isIdSegment } from "../../core/spiffe-id.ts";
import type { ServiceInstance } from "../../model/service.ts";
import { mutualTlsOf } from "./access.ts";
import type { AccessSet } from "./access-object.ts";

/** `trustDomain`: empty where nobody has an identity. */
export function withIdentities(
  instances: readonly ServiceInstance[],
  access: AccessSet,
  trustDomain: string,
): readonly ServiceInstance[] {
  if (trustDomain === "") return instances;
  return instances.map((instance) => {
    const identity = instance.mutualTls ? identityOf(instance, access, trustDomain) : "";
    return identity === "" ? instance : { ...instance, identity };
  });
}

function identityOf(instance: ServiceInstance, access: AccessSet, trustDomain: string): string {
  const account = accountOf(instance);
  if (account === undefined) return "";
  const { host, labels, appPort = instance.servicePort } = instance;
  const { namespace } = account;
  const { mode, ports } = mutualTlsOf(access, { service: host, namespace, labels });
  return (ports[appPort] ?? mode) === "DISABLE" ? "" : formatSpiffeId({ trustDomain, ...account });
}

/** "default/reviews"; without one the account that is named as the service. */
function accountOf({ host, namespace, serviceAccount = "" }: ServiceInstance) {
  const [name = "", ofService = "", svc] = host.split(".");
  const own = namespace ?? (svc === "svc" ? ofService : "default");
  const isService = svc === "svc" || ofService === "";
  const written = serviceAccount === "" ? (isService ? name : "") : serviceAccount;
  const [first = "", second, ...others] = written.split("/");
  const account =
    second === undefined
      ? { namespace: own, account: first }
      : { namespace: first, account: second };
  const isId = isIdSegment(account.namespace) && isIdSegment(account.account);
  return isId && others.length === 0 ? account : undefined;
}
