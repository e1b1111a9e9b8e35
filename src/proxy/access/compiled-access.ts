/** Who may call, of one configuration: what the manager sent ─▶ what gates are made of. */
import type { AccessConfig } from "../../api/gen/mesh/v1/access_pb.ts";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Problem } from "../../core/problem.ts";
import type { Authorizer } from "../../policy/authorization/authorizer.ts";
import { compileAuthorization } from "../../policy/authorization/compile-authorization.ts";
import { isSame } from "../snapshot/is-same.ts";

export interface CompiledAccess {
  /** What it was compiled from. */
  readonly message: AccessConfig;
  /** Of the mesh: its own first, then the aliases. */
  readonly trustDomains: readonly string[];
  /** Undefined: rules ask nothing of requests. */
  readonly http: Authorizer | undefined;
  /** The same, of connections that are passed on as they are. */
  readonly tcp: Authorizer | undefined;
}

/** Undefined: nothing is asked of callers. What is wrong with it is added to `problems`. */
export function compileAccess(
  { access, trust }: ProxyConfig,
  former: CompiledAccess | undefined,
  problems: Problem[],
): CompiledAccess | undefined {
  if (access === undefined) return undefined;
  const trustDomains = trust === undefined ? [] : [trust.trustDomain, ...trust.trustDomainAliases];
  if (
    former !== undefined &&
    former.trustDomains.join() === trustDomains.join() &&
    isSame(former.message, access)
  )
    return former;
  const providers = new Set(access.externalAuthorizers.map(({ name }) => name));
  const compiled = compileAuthorization(access.authorizationPolicies, { trustDomains, providers });
  problems.push(...compiled.problems);
  return { message: access, trustDomains, http: compiled.http, tcp: compiled.tcp };
}
