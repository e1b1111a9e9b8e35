/** What Istio makes of RequestAuthentications, as far as it is no message of Envoy's. */
import { spaceDelimitedClaims } from "../../policy/jwt/verify-token.ts";

type Row = Readonly<Record<string, unknown>>;
type Verdict = string | undefined | { readonly departs: string };

const file = "istio-master__pilot_pkg_security_authn_policy_applier_test";

export const tokenTableJudges: Readonly<Record<string, (row: Row) => Verdict>> = {
  [`${file} TestBuildSpaceDelimitedClaims`]: ({ input, expected }) => {
    const claims = spaceDelimitedClaims((input ?? []) as readonly string[]);
    if (Bun.deepEquals(claims, expected)) return undefined;
    return `${JSON.stringify(claims)}, not ${JSON.stringify(expected)}`;
  },
};
