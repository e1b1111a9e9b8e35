/** Why something was allowed or refused: who wrote it, where, and which of its rules it was. */
import type { AccessOrigin } from "../../api/gen/mesh/v1/access_pb.ts";

export interface Decision {
  readonly allowed: boolean;
  /** "AuthorizationPolicy/default/deny-all"; "": there is no policy. */
  readonly policy: string;
  /** From 0, as operators count their list; −1: none of its rules decided. */
  readonly rule: number;
  /** "rules/access.yaml:12"; "": not known. */
  readonly place: string;
  /** In plain words. */
  readonly reason: string;
}

/** "AuthorizationPolicy/default/deny-all rule 2"; "no policy" */
export function decisionText({ policy, rule }: Decision): string {
  if (policy === "") return "no policy";
  return rule === -1 ? policy : `${policy} rule ${rule}`;
}

/** "rules/access.yaml:12" */
export function placeOf(origin: AccessOrigin | undefined): string {
  if (origin === undefined || origin.file === "") return "";
  return origin.line === 0 ? origin.file : `${origin.file}:${origin.line}`;
}
