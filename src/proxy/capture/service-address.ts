/**
 * Addresses for services that have none, so that an application can aim at them: 240.240.x.y, of a
 * block that nothing else uses. They exist only between an application and its proxy. The address
 * follows from the service's name, so proxies and restarts agree; where two names meet, the second
 * in order of names moves on. Who has an address keeps it while it exists.
 */
const BLOCK = "240.240";
/** Neither the first nor the last address of the block. */
const ADDRESSES = 65_534;

/** Empty where `hosts` is; a host gets none once all are taken. */
export function allocateAddresses(
  hosts: readonly string[],
  former: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const allocated = new Map<string, string>();
  const taken = new Uint8Array(ADDRESSES);
  let left = ADDRESSES;
  const take = (host: string, slot: number): void => {
    allocated.set(host, addressAt(slot));
    taken[slot] = 1;
    left--;
  };
  const wanted = [...new Set(hosts)].toSorted();
  for (const host of wanted) {
    const kept = former.get(host);
    if (kept !== undefined) take(host, slotOf(kept));
  }
  for (const host of wanted) {
    if (allocated.has(host) || left === 0) continue;
    let slot = hash(host) % ADDRESSES;
    while (taken[slot] === 1) slot = (slot + 1) % ADDRESSES;
    take(host, slot);
  }
  return allocated;
}

function addressAt(slot: number): string {
  const host = slot + 1;
  return `${BLOCK}.${host >> 8}.${host & 0xff}`;
}

function slotOf(address: string): number {
  const [, , high, low] = address.split(".").map(Number);
  return ((high! << 8) | low!) - 1;
}

/** FNV-1a, 32 bits, its high half folded into the low one. */
function hash(text: string): number {
  let value = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++)
    value = Math.imul(value ^ text.charCodeAt(i), 0x0100_0193) >>> 0;
  return (value ^ (value >>> 16)) >>> 0;
}
