/** Paths of operations: exact, "/a/*", "*\/a", and templates "/a/{*}/b", "/a/{**}". */
import type { Complaint } from "../../model/validate-name.ts";

const literal = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

/** Braces are of templates only; in a template the rest of each part is text. */
export function checkPathPattern(path: string): Complaint {
  const isTemplate = path.includes("{*}") || path.includes("{**}");
  let hasRest = false;
  for (const part of path.replace(/^\/+|\/+$/g, "").split("/")) {
    if (part === "{*}" || part === "{**}") {
      if (hasRest) return "must not have an operator behind {**}";
      hasRest = part === "{**}";
    } else if (/[{}]/.test(part)) return "may have braces only as {*} or {**}, as a whole part";
    else if (isTemplate && !literal.test(part))
      return part.includes("*")
        ? "must not have both {*} and *"
        : `has a part "${part}" that is not text of a path`;
  }
  return undefined;
}
