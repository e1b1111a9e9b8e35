/** Adapters of Istio 0.1 by the names that they had, as those of today with today's parameters. */
import type { Parameters } from "../../../model/handler.ts";
import { camelCase } from "../../schema/message.ts";

type Json = Readonly<Record<string, unknown>>;

interface Impl {
  readonly adapter: string;
  readonly convert?: (params: Json) => Json;
}

const impls: ReadonlyMap<string, Impl> = new Map<string, Impl>([
  ["denychecker", { adapter: "denier", convert: ({ error }) => (error ? { status: error } : {}) }],
  [
    "genericlistchecker",
    {
      adapter: "listchecker",
      convert: ({ listEntries, whitelist, ...rest }) => ({
        ...rest,
        overrides: listEntries ?? whitelist ?? [],
      }),
    },
  ],
  [
    "iplistchecker",
    {
      adapter: "listchecker",
      convert: ({ publisherUrl, ...rest }) => ({
        ...(publisherUrl !== undefined && { providerUrl: publisherUrl }),
        ...rest,
        entryType: "IP_ADDRESSES",
      }),
    },
  ],
  ["memquota", { adapter: "memquota" }],
  ["redisquota", { adapter: "redisquota", convert: ({ socketType: _, ...rest }) => rest }],
  ["stdiologger", { adapter: "stdio" }],
  ["prometheus", { adapter: "prometheus" }],
  ["statsd", { adapter: "statsd" }],
  ["kubernetes", { adapter: "kubernetesenv" }],
  ["noop", { adapter: "noop" }],
]);

/** "istio/denyChecker" was its name once. Undefined: no such adapter. */
export function adapterOf(impl: string): string | undefined {
  return found(impl)?.adapter;
}

/** With what an aspect adds to them. */
export function convertParameters(impl: string, written: Parameters, added: Json): Parameters {
  // Written by the reader of parameters, from a map of fields.
  const read = JSON.parse(written.json) as Json;
  const params = Object.fromEntries(
    Object.entries(read).map(([key, one]) => [camelCase(key), one]),
  );
  const converted = found(impl)?.convert?.(params) ?? params;
  return { json: JSON.stringify({ ...converted, ...added }), positions: written.positions };
}

export const implNames: readonly string[] = [...impls.keys()];

function found(impl: string): Impl | undefined {
  return impls.get(impl.slice(impl.lastIndexOf("/") + 1).toLowerCase());
}
