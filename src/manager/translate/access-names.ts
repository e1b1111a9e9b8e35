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

/** A service that proxies ask by themselves: its full host name, and the port. */
export interface AskedPlace {
  readonly host: string;
  readonly port: number;
}

export function askedAuthorizers({
  settings,
  domain,
}: Pick<RuleSet, "settings" | "domain">): readonly AskedPlace[] {
  return settings.authorizers.map((one) => {
    const { service = "", port = 0 } = authorizerOf(one, domain);
    return { host: service, port };
  });
}

/** Of keys by which tokens are verified, where no TLS of their own is spoken. */
export function askedKeyServers({
  access,
  domain,
}: Pick<RuleSet, "access" | "domain">): readonly AskedPlace[] {
  return access.requests.flatMap(({ spec }) =>
    spec.rules.flatMap(({ jwksUri = "" }) => {
      const url = URL.canParse(jwksUri) ? new URL(jwksUri) : undefined;
      if (url?.protocol !== "http:") return [];
      return { host: hostOf(url.hostname, "", domain), port: Number(url.port || 80) };
    }),
  );
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
