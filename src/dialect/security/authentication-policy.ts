/** Policy and MeshPolicy of authentication.istio.io/v1alpha1. */
import type { AuthenticationPolicy } from "../../model/authentication-policy.ts";
import type { JwtRule } from "../../model/request-authentication.ts";
import { checkHeaderName } from "../../model/validate-http.ts";
import { checkDnsLabel } from "../../model/validate-name.ts";
import { portNumber } from "../networking/workload-entry.ts";
import { ignored, list, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, flag, nonEmpty, oneOf, text } from "../schema/scalar.ts";
import { checkJwks, checkJwksUri } from "./key-set.ts";
import type { Holder } from "./workload-target.ts";

const jwt = message({
  issuer: text,
  audiences: list(nonEmpty),
  jwksUri: checkedText(checkJwksUri),
  jwks: checkedText(checkJwks),
  jwtHeaders: list(checkedText((value) => checkHeaderName(value.toLowerCase()))),
  jwtParams: list(nonEmpty),
  triggerRules: ignored("has no effect: tokens are asked of every path"),
});

const target = message({
  name: checkedText((value) => checkDnsLabel(value)),
  ports: list(message({ number: portNumber, name: text })),
  subset: ignored("has no effect"),
  labels: ignored("has no effect"),
});

const mutualTls = message({ allowTls: flag, mode: oneOf("STRICT", "PERMISSIVE") });

const written = message({
  targets: list(target),
  peers: list(message({ mtls: mutualTls, jwt })),
  peerIsOptional: flag,
  origins: list(message({ jwt })),
  originIsOptional: flag,
  principalBinding: oneOf("USE_PEER", "USE_ORIGIN"),
});

type Written = NonNullable<ValueOf<typeof written>>;

const onlyName = "default";

/** Undefined after the problems have been reported. */
export function readAuthenticationPolicy(
  place: Place,
  { name }: Holder,
): AuthenticationPolicy | undefined {
  const policy = written(place.orMap());
  if (policy === undefined) return undefined;
  const targets = readTargets(policy);
  if (targets.length > 0 && name === onlyName)
    policy.at("targets").error(`must not be given: "${onlyName}" is for the whole namespace`);
  if (targets.length === 0 && name !== onlyName && !policy.has("targets"))
    place.warn("is for the whole namespace", `name it "${onlyName}", or give targets`);
  return policyOf(policy, targets);
}

/** Of the whole mesh. */
export function readMeshPolicy(place: Place, { name }: Holder): AuthenticationPolicy | undefined {
  const policy = written(place.orMap());
  if (policy === undefined) return undefined;
  if (name !== onlyName) place.error(`must be named "${onlyName}"`);
  if (policy.has("targets")) policy.at("targets").error("has no place in a MeshPolicy");
  return policyOf(policy, []);
}

function policyOf(policy: Written, targets: AuthenticationPolicy["targets"]): AuthenticationPolicy {
  const peers = policy.peers ?? [];
  // "mtls:" with nothing behind it means mutual TLS too.
  const tls = peers.filter((peer) => !peer.has("jwt"));
  const isLax = tls.some(({ mtls }) => mtls?.mode === "PERMISSIVE" || mtls?.allowTls === true);
  const isStrict = tls.length > 0 && !isLax && policy.peerIsOptional !== true;
  const ofPeers = peers.flatMap((peer) => peer.jwt ?? []);
  const ofOrigins = (policy.origins ?? []).flatMap((origin) => origin.jwt ?? []);
  judgeIssuers([...ofPeers, ...ofOrigins]);
  const needsToken =
    (ofPeers.length > 0 && policy.peerIsOptional !== true) ||
    (ofOrigins.length > 0 && policy.originIsOptional !== true);
  if (needsToken)
    policy
      .at(ofOrigins.length > 0 ? "origins" : "peers")
      .warn("also closes TCP ports: nothing there has a token");
  return {
    targets,
    mode: isStrict ? "STRICT" : "PERMISSIVE",
    rules: [...ofPeers, ...ofOrigins].map(toRule),
    needsToken,
  };
}

function readTargets(policy: Written): AuthenticationPolicy["targets"] {
  return (policy.targets ?? []).map((one) => {
    if (!one.has("name")) one.at().error("must have a name");
    const ports = (one.ports ?? []).flatMap((port) => {
      if (port.number === undefined && !port.has("number"))
        if (port.has("name")) port.at("name").error("is not known here", "give its number");
        else port.at().error("must have a number");
      return port.number ?? [];
    });
    return { name: one.name ?? "", ports };
  });
}

function judgeIssuers(rules: readonly NonNullable<ValueOf<typeof jwt>>[]): void {
  const seen = new Set<string>();
  for (const rule of rules) {
    const { issuer = "" } = rule;
    if (issuer === "") rule.at().error("must have an issuer");
    else if (seen.has(issuer)) rule.at("issuer").error(`"${issuer}" is given twice`);
    seen.add(issuer);
  }
}

const toRule = (rule: NonNullable<ValueOf<typeof jwt>>): JwtRule => ({
  issuer: rule.issuer ?? "",
  audiences: rule.audiences ?? [],
  jwksUri: rule.jwksUri ?? "",
  jwks: rule.jwks ?? "",
  fromHeaders: (rule.jwtHeaders ?? []).map((name) => ({ name, prefix: "" })),
  fromParams: rule.jwtParams ?? [],
  fromCookies: [],
  outputPayloadToHeader: "",
  outputClaimToHeaders: [],
  forwardOriginalToken: true,
  timeoutMs: 5_000,
  spaceDelimitedClaims: [],
});
