/** RequestAuthentication of security.istio.io: which tokens count, and where they are. */
import type { JwtRule, RequestAuthentication } from "../../model/request-authentication.ts";
import { checkHeaderName } from "../../model/validate-http.ts";
import type { Complaint } from "../../model/validate-name.ts";
import { list, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, duration, flag, nonEmpty, text } from "../schema/scalar.ts";
import { checkJwks, checkJwksUri } from "./key-set.ts";
import { refuseDryRun } from "./peer-authentication.ts";
import { type Holder, readTarget, targetFields } from "./workload-target.ts";

const header = checkedText(checkField);

const jwtRule = message({
  issuer: text,
  audiences: list(nonEmpty),
  jwksUri: checkedText((value) => (value === "" ? undefined : checkJwksUri(value))),
  jwks: checkedText((value) => (value === "" ? undefined : checkJwks(value))),
  fromHeaders: list(message({ name: header, prefix: text })),
  fromParams: list(nonEmpty),
  fromCookies: list(nonEmpty),
  outputPayloadToHeader: checkedText((value) => (value === "" ? undefined : checkField(value))),
  outputClaimToHeaders: list(message({ header, claim: nonEmpty })),
  forwardOriginalToken: flag,
  timeout: duration(),
  spaceDelimitedClaims: list(nonEmpty),
});

const written = message({ ...targetFields, jwtRules: list(jwtRule) });

const TIMEOUT_MS = 5_000;

/** Undefined after the problems have been reported. */
export function readRequestAuthentication(
  place: Place,
  holder: Holder,
): RequestAuthentication | undefined {
  const authentication = written(place.orMap());
  if (authentication === undefined) return undefined;
  refuseDryRun(place, holder);
  const target = readTarget(authentication, holder);
  return { ...target, rules: (authentication.jwtRules ?? []).map(readJwtRule) };
}

function readJwtRule(rule: NonNullable<ValueOf<typeof jwtRule>>): JwtRule {
  const { issuer = "", jwksUri = "", jwks = "" } = rule;
  if (issuer === "" && !rule.has("jwksUri") && !rule.has("jwks"))
    rule.at().error("must have an issuer, or keys by jwksUri or jwks");
  if (jwksUri !== "" && jwks !== "") rule.at("jwks").error("must not stand beside jwksUri");
  for (const one of rule.fromHeaders ?? [])
    if (!one.has("name")) one.at().error("must have a name");
  for (const one of rule.outputClaimToHeaders ?? [])
    for (const field of ["header", "claim"] as const)
      if (!one.has(field)) one.at().error(`must have a ${field}`);
  return {
    issuer,
    audiences: rule.audiences ?? [],
    jwksUri,
    jwks,
    fromHeaders: (rule.fromHeaders ?? []).map(({ name = "", prefix = "" }) => ({ name, prefix })),
    fromParams: rule.fromParams ?? [],
    fromCookies: rule.fromCookies ?? [],
    outputPayloadToHeader: rule.outputPayloadToHeader ?? "",
    outputClaimToHeaders: (rule.outputClaimToHeaders ?? []).map(
      ({ header: to = "", claim = "" }) => {
        return { header: to, claim };
      },
    ),
    forwardOriginalToken: rule.forwardOriginalToken ?? false,
    timeoutMs: rule.timeout ?? TIMEOUT_MS,
    spaceDelimitedClaims: rule.spaceDelimitedClaims ?? [],
  };
}

/** In any case: fields are compared without it. */
function checkField(value: string): Complaint {
  return checkHeaderName(value.toLowerCase());
}
