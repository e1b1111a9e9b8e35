/**
 * Handlers: `kind: handler` with a `compiledAdapter`, and the older kinds that are called after
 * their adapter and are its parameters. Spec table: mixer 3.1.
 */
import type { Handler, HandlerConnection } from "../../model/handler.ts";
import { type Message, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { duration, oneOf, text } from "../schema/scalar.ts";
import { readParameters } from "./parameters.ts";

/** Ours: who decides when nobody can judge. */
export const failPolicy = oneOf("open", "closed");

const anything: Reader<Place> = (place) => place;

const refused: Reader<never> = (place) => {
  place.error("is not supported yet: leave it out to connect without");
  return undefined;
};

const connection = message({ address: text, timeout: duration(), authentication: refused });

const fields = message({
  compiledAdapter: text,
  adapter: text,
  params: anything,
  connection,
  failPolicy,
  timeout: duration(),
});

/** Undefined after the problems have been reported. */
export function readHandler(place: Place): Handler | undefined {
  const written = fields(place);
  if (written === undefined) return undefined;
  const named = chosenName(written, ["compiledAdapter", "adapter"]);
  const parameters = readParameters(written.params ?? written.at("params"));
  if (named === undefined || parameters === undefined) return undefined;
  const { failPolicy: policy, timeout: timeoutMs } = written;
  return {
    writtenKind: "handler",
    adapter: named.name,
    adapterAt: named.at.position,
    parameters,
    ...(written.connection && { connection: toConnection(written.connection) }),
    ...(policy && { failPolicy: policy }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

/** `kind: denier`: the spec is the parameters. `adapter` is its name today. */
export function typedHandlerReader(writtenKind: string, adapter: string) {
  return (place: Place): Handler | undefined => {
    const parameters = readParameters(place);
    return parameters && { writtenKind, adapter, adapterAt: place.position, parameters };
  };
}

function toConnection(written: ValueOf<typeof connection>): HandlerConnection {
  const { address = "", timeout = 0 } = written;
  if (address === "") written.at("address").error("must be an address: host:port or a URL");
  return { address, timeoutMs: timeout };
}

/** Of two fields that both name what is meant, the one that is given. */
export function chosenName<A extends string, B extends string>(
  written: Message<Readonly<Record<A | B, Reader<string>>>>,
  [first, second]: readonly [A, B],
): { readonly name: string; readonly at: Place } | undefined {
  // A generic message's fields have no names that the compiler could follow.
  const { [first]: one, [second]: other } = written as Readonly<Record<string, unknown>>;
  const has = [first, second].filter((field) => written.has(field));
  if (has.length === 2) written.at(second).error(`must not stand beside ${first}`);
  else if (has.length === 0) written.at().error(`must have a ${first}`);
  const name = one ?? other;
  if (has.length !== 1 || typeof name !== "string") return undefined;
  const at = written.at(has[0]!);
  if (name !== "") return { name, at };
  at.error("must not be empty");
  return undefined;
}
