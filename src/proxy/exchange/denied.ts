/** A request that is refused, as operators are told of it. */
import { FieldId } from "../../http/field-id.ts";
import { RecordText } from "../../telemetry/access-record.ts";
import type { RefusedBy } from "../access/access-step.ts";
import type { DenialKind } from "../access/denial-ring.ts";
import type { RequestFacts } from "../access/request-facts.ts";
import { fieldOf } from "../policy/field-map.ts";
import type { Exchange } from "./exchange.ts";
import { rescan } from "./request-head.ts";

export interface DeniedAs {
  readonly kind: DenialKind;
  readonly status: number;
  readonly by: RefusedBy;
  /** Of the request: see requestIdOf. */
  readonly id: string;
}

const ID = /^[\w.:+/=-]{1,128}$/;

/** Its own where it is one, so that whoever asked can ask about it; else one by chance. */
export function requestIdOf(ex: Exchange): string {
  const said = fieldOf(rescan(ex), FieldId.xRequestId);
  if (said !== undefined && ID.test(said)) return said;
  const { random } = ex.env;
  const part = (): string =>
    Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, "0");
  const id = `${part()}${part()}`;
  if (said === undefined) ex.record?.string(RecordText.requestId, id);
  return id;
}

export function tellDenied(ex: Exchange, { kind, status, by, id }: DeniedAs): void {
  const watch = ex.env.denials;
  if (watch === undefined) return;
  const facts = describeFacts(ex, watch.facts);
  watch.denied({
    ...{ id, kind, status, timeMs: facts.wallMs },
    ...{ by: by.object, rule: by.rule, place: by.place, reason: by.reason },
    principal: facts.principal,
    sourceAddress: facts.connection.source.address,
    remoteAddress: facts.remoteAddress,
    port: facts.destinationPort,
    serverName: facts.serverName,
    method: facts.method,
    host: facts.authority,
    path: facts.path,
    hasToken: facts.token !== undefined,
  });
}

/** Points `facts` at the request. */
export function describeFacts(ex: Exchange, facts: RequestFacts): RequestFacts {
  const downstream = ex.downstream!;
  facts.destinationPort = downstream.defaultPort;
  facts.destination = downstream.captured;
  facts.edge = downstream.edge === undefined ? undefined : ex.env.edge;
  facts.isHttp2 = downstream.stream !== undefined;
  facts.wallMs = ex.env.wallMs;
  facts.token = ex.token;
  return facts.about(rescan(ex), downstream.facts);
}
