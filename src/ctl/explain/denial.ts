/**
 * Who refused a request, asked of the admin ports of all proxies at once. What answers is another
 * process, so nothing of it is trusted to have the form that is expected.
 */

import type { ProxyStatus } from "../../api/gen/mesh/v1/config_pb.ts";
import { isRecord } from "../../core/record.ts";
import { httpGet } from "../http-get.ts";

/** As `/denials` of a proxy tells it. */
export interface ToldDenial {
  readonly proxy: string;
  readonly service: string;
  readonly id: string;
  readonly timeMs: number;
  readonly kind: string;
  readonly status: number;
  readonly by: string;
  readonly rule: string;
  readonly place: string;
  readonly reason: string;
  readonly principal: string;
  readonly sourceAddress: string;
  readonly remoteAddress: string;
  readonly port: number;
  readonly serverName: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly hasToken: boolean;
  readonly remedies: readonly string[];
}

export interface FoundDenials {
  /** Newest first. */
  readonly denials: readonly ToldDenial[];
  /** "web-1: no answer at 127.0.0.1:15000" */
  readonly unreachable: readonly string[];
}

const TIMEOUT_MS = 3_000;
/** Admin ports asked at one time. */
const AT_ONCE = 32;

export async function findDenials(
  id: string,
  proxies: readonly ProxyStatus[],
): Promise<FoundDenials> {
  const denials: ToldDenial[] = [];
  const unreachable: string[] = [];
  for (let i = 0; i < proxies.length; i += AT_ONCE) {
    const some = proxies.slice(i, i + AT_ONCE);
    for (const told of await Promise.all(some.map((proxy) => askOne(id, proxy)))) {
      if (typeof told === "string") unreachable.push(told);
      else denials.push(...told);
    }
  }
  return { denials: denials.sort((a, b) => b.timeMs - a.timeMs), unreachable };
}

async function askOne(
  id: string,
  { nodeId, service, adminAddress }: ProxyStatus,
): Promise<readonly ToldDenial[] | string> {
  if (adminAddress === "") return `${nodeId}: it tells no admin address`;
  try {
    const url = `http://${adminAddress}/denials?format=json&id=${encodeURIComponent(id)}`;
    const { status, body } = await httpGet(url, { timeoutMs: TIMEOUT_MS });
    if (status !== 200) return `${nodeId}: ${adminAddress} answers ${status}`;
    const told: unknown = JSON.parse(body);
    if (!Array.isArray(told)) return `${nodeId}: ${adminAddress} is no admin port of a proxy`;
    return told.filter(isRecord).map((one) => readDenial(one, nodeId, service));
  } catch {
    return `${nodeId}: no answer at ${adminAddress}`;
  }
}

type Told = Readonly<Record<string, unknown>>;

function readDenial(told: Told, proxy: string, service: string): ToldDenial {
  const text = (name: string): string => (typeof told[name] === "string" ? told[name] : "");
  const number = (name: string): number => (typeof told[name] === "number" ? told[name] : 0);
  const { remedies } = told;
  return {
    ...{ proxy, service, id: text("id"), timeMs: number("timeMs"), kind: text("kind") },
    ...{ status: number("status"), by: text("by"), rule: text("rule"), place: text("place") },
    ...{ reason: text("reason"), principal: text("principal"), port: number("port") },
    sourceAddress: text("sourceAddress"),
    remoteAddress: text("remoteAddress"),
    ...{ serverName: text("serverName"), method: text("method"), host: text("host") },
    ...{ path: text("path"), hasToken: told.hasToken === true },
    remedies: Array.isArray(remedies) ? remedies.filter((one) => typeof one === "string") : [],
  };
}
