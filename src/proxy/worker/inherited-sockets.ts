/**
 * The listening sockets of a predecessor, dealt out to Workers. Each of its Workers had one socket
 * a listener, of the same name but for the Worker's number:
 *
 *   "outbound" ─▶ first   "outbound#1" ─▶ second   nothing for the third ─▶ a copy of "outbound"
 *
 * Two threads with copies of one socket share its queue, as predecessor and successor do. Where
 * there are more sockets than Workers, those left over are closed with the predecessor.
 */
import type { Inheritance } from "../traffic-plane.ts";

/** For the Worker of this number, counted from 0. */
export function socketName(listener: string, worker: number): string {
  return worker === 0 ? listener : `${listener}#${worker}`;
}

/** By listener, for each Worker. `copy` makes a second descriptor of a socket; −1: it cannot. */
export function dealSockets(
  inheritance: Inheritance,
  workers: number,
  copy: (fd: number) => number,
): Map<string, number>[] {
  const { listeners } = inheritance;
  const names = [...listeners.keys()].filter((name) => !/#\d+$/.test(name));
  return Array.from({ length: workers }, (_, worker) => {
    const dealt = new Map<string, number>();
    for (const name of names) {
      const own = inheritance.use(socketName(name, worker)) ?? copy(listeners.get(name)!);
      if (own !== -1) dealt.set(name, own);
    }
    return dealt;
  });
}
