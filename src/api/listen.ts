/** Binds a port of the control plane, or says why it cannot be. */
import type { Server } from "node:net";
import { bindReason } from "../io/bind-reason.ts";
import { type Address, addressText } from "./address.ts";

/** Resolves to the address that was bound, with the port that was picked. */
export function listen(server: Server, { hostname, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(bindFault({ hostname, port }, cause)));
    server.listen({ host: hostname, port }, () => {
      const bound = server.address();
      if (bound === null || typeof bound === "string")
        return reject(new Error(`${addressText({ hostname, port })} has no address`));
      resolve({ hostname, port: bound.port });
    });
  });
}

export function bindFault(at: Address, cause: unknown): Error {
  const text = `${addressText(at)} ${bindReason(cause)}: choose another (port 0 picks one)`;
  return new Error(text, { cause });
}
