/** Policies of authorization as a workload is sent them, and facts of requests, for tests. */
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type AuthorizationPolicy,
  AuthorizationPolicySchema,
} from "../api/gen/mesh/v1/access_pb.ts";
import { parseShortestIpAddress } from "../attribute/ip-address.ts";
import { type AuthorizationFacts, hostOf, principalParts } from "../policy/authorization/facts.ts";
import type { VerifiedToken } from "../policy/jwt/verified-token.ts";

/** What a test says of a policy; the rest is usual. */
export interface PolicySample {
  readonly name?: string;
  readonly action?: "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";
  readonly provider?: string;
  readonly dryRun?: boolean;
  /** As AccessRule has it, in JSON. */
  readonly rules?: readonly object[];
}

export function policySample(sample: PolicySample): AuthorizationPolicy {
  const { name = "sample", action = "ALLOW", provider = "", dryRun = false, rules = [] } = sample;
  return fromJson(AuthorizationPolicySchema, {
    origin: { object: `AuthorizationPolicy/default/${name}`, file: "rules.yaml", line: 3 },
    action: `ACTION_${action}`,
    ...{ provider, dryRun, rules: [...(rules as readonly JsonValue[])] },
  });
}

export interface FactsSample {
  readonly principal?: string;
  readonly sourceIp?: string;
  readonly remoteIp?: string;
  readonly destinationIp?: string;
  readonly port?: number;
  readonly serverName?: string;
  readonly host?: string;
  readonly method?: string;
  readonly path?: string;
  /** By names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Claims. */
  readonly token?: Readonly<Record<string, unknown>>;
}

export function factsSample(sample: FactsSample = {}): AuthorizationFacts {
  const { principal = "", host = "reviews", headers = {}, sourceIp = "10.0.0.7" } = sample;
  const authority = host.toLowerCase();
  return {
    principal,
    ...principalParts(principal),
    sourceIp: parseShortestIpAddress(sourceIp),
    remoteIp: parseShortestIpAddress(sample.remoteIp ?? sourceIp),
    destinationIp: parseShortestIpAddress(sample.destinationIp ?? "10.0.0.9"),
    destinationPort: sample.port ?? 9080,
    serverName: sample.serverName ?? "",
    authority,
    host: hostOf(authority),
    method: sample.method ?? "GET",
    path: sample.path ?? "/",
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    token: sample.token && tokenSample(sample.token),
  };
}

function tokenSample(claims: Readonly<Record<string, unknown>>): VerifiedToken {
  const text = (name: string): string => (typeof claims[name] === "string" ? claims[name] : "");
  const [issuer, subject] = [text("iss"), text("sub")];
  const { aud = [] } = claims;
  return {
    ...{ issuer, subject, presenter: text("azp"), claims, payload: "" },
    principal: issuer !== "" && subject !== "" ? `${issuer}/${subject}` : "",
    audiences: (Array.isArray(aud) ? aud : [aud]).map(String),
    spaceDelimited: ["scope", "permission"],
    expiresMs: Number.POSITIVE_INFINITY,
  };
}
