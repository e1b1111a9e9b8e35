/** A proxy is what its join token says: labels in it are its own, unless flags say others. */
import { labelsOfToken } from "../../api/discovery/token-labels.ts";
import type { ProxyFlags } from "../flags.ts";
import { joinTokenOf } from "../identity/kept-identity.ts";

export function withTokenLabels(flags: ProxyFlags): ProxyFlags {
  return { ...flags, labels: { ...labelsOfToken(tokenOf(flags)), ...flags.labels } };
}

/** "": there is none; whether one is missing is asked where it is needed. */
function tokenOf({ credential }: ProxyFlags): string {
  try {
    return joinTokenOf(credential);
  } catch {
    return "";
  }
}
