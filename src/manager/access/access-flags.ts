/** Flags of `mesh manager` that say whom to trust: users here, and people's certificates. */
import { ROLES, type Role } from "../../api/principal.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";

export interface ReadFlags<T> {
  readonly value: T;
  readonly problems: readonly string[];
}

/** "1337", or a name that is in `passwd` (passwd(5)). */
export function readLocalUsers(
  texts: readonly string[],
  passwd: () => string,
): ReadFlags<readonly number[]> {
  const problems: string[] = [];
  const value = texts.flatMap((text) => {
    if (/^\d{1,9}$/.test(text)) return [Number(text)];
    const line = passwd()
      .split("\n")
      .find((one) => one.split(":", 1)[0] === text);
    const uid = Number(line?.split(":")[2] || "NaN");
    if (Number.isInteger(uid)) return [uid];
    problems.push(`--local-user: there is no user ${JSON.stringify(text)} on this machine`);
    return [];
  });
  return { value, problems };
}

/** "spiffe://cluster.local/ns/ops/sa/ann=operator" */
export function readRoles(texts: readonly string[]): ReadFlags<ReadonlyMap<string, Role>> {
  const problems: string[] = [];
  const value = new Map<string, Role>();
  for (const text of texts) {
    const equals = text.lastIndexOf("=");
    const id = text.slice(0, Math.max(0, equals));
    const role = ROLES.find((known) => known === text.slice(equals + 1));
    if (role === undefined || parseSpiffeId(id) === undefined)
      problems.push(
        `--role: ${JSON.stringify(text)} is not spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT=ROLE, ` +
          `with ROLE one of ${ROLES.join(", ")}`,
      );
    else value.set(id, role);
  }
  return { value, problems };
}
