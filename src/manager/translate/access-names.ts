/** What names of others in access rules are made with: trust domains, and who may be asked. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ExternalAuthorizer_Protocol,
  type ExternalAuthorizerSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { ExternalAuthorizer } from "../../model/external-authorizer.ts";
import type { AccessNames } from "./access.ts";
import { fullHostName } from "./host-name.ts";
import type { RuleSet } from "./rule-set.ts";

/** As long as nobody says otherwise: a request waits for it. */
const TIMEOUT_MS = 2_000;

export function accessNamesOf(
  { settings, domain }: Pick<RuleSet, "settings" | "domain">,
  trust: TrustBundle | undefined,
): AccessNames {
  const { trustDomain = "", trustDomainAliases = [] } = trust ?? {};
  return {
    trustDomains: trustDomain === "" ? [] : [trustDomain, ...trustDomainAliases],
    authorizers: settings.authorizers.map((one) => authorizerOf(one, domain)),
  };
}

/** Whom proxies have to know for that, beside whom they call: hosts in full, and ports. */
export function askedServices({
  settings,
  domain,
}: Pick<RuleSet, "settings" | "domain">): readonly {
  readonly host: string;
  readonly port: number;
}[] {
  return settings.authorizers.map((one) => {
    const { service = "", port = 0 } = authorizerOf(one, domain);
    return { host: service, port };
  });
}

function authorizerOf(
  { service, protocol, timeoutMs = TIMEOUT_MS, ...rest }: ExternalAuthorizer,
  domain: string,
): MessageInitShape<typeof ExternalAuthorizerSchema> {
  const [first = "", host] = service.split("/");
  return {
    ...rest,
    protocol: ExternalAuthorizer_Protocol[protocol],
    service: hostOf(host ?? first, host === undefined ? "" : first, domain),
    timeoutMs,
    includeRequestHeaders: [...rest.includeRequestHeaders],
    additionalHeaders: [...rest.additionalHeaders],
    headersToUpstreamOnAllow: [...rest.headersToUpstreamOnAllow],
    headersToDownstreamOnDeny: [...rest.headersToDownstreamOnDeny],
    headersToDownstreamOnAllow: [...rest.headersToDownstreamOnAllow],
  };
}

/** Addresses, and the host that the proxy runs on, are no names of services. */
function hostOf(host: string, namespace: string, domain: string): string {
  return host === "localhost" || host.includes(":") ? host : fullHostName(host, namespace, domain);
}
