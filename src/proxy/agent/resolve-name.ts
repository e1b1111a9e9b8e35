/** Addresses of a name by the system's resolver, with how long they hold good. */
import type { ResolvedAddress } from "../cluster/name-members.ts";

/** Rejects if the name is unknown. */
export async function resolveName(name: string): Promise<readonly ResolvedAddress[]> {
  const answers = await Bun.dns.lookup(name, { socketType: "tcp" });
  return answers.map(({ address, ttl }) => ({ address, ttlMs: ttl * 1000 }));
}
