/** A line in the access log for a connection that was passed on as it was. */
import type { Failure } from "../../core/failure.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { ConnectionNames } from "../../telemetry/connection-names.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { RelayEnvironment, RelayTarget } from "./relay-environment.ts";

/** As an AccessRecord has it. */
const PROTOCOL_TCP = -1;

/** What remains of a relay. */
export interface RelayFacts {
  readonly target: RelayTarget;
  readonly cluster: Cluster;
  /** The last that was tried. */
  readonly endpoint: Endpoint | undefined;
  readonly failure: Failure | undefined;
  /** Why the last connect failed, or who refused it; "": neither. */
  readonly detail: string;
  readonly attempts: number;
  readonly startMs: number;
  readonly startWallMs: number;
  /** From the downstream. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly remoteName: string;
  readonly localName: string;
}

/** Of a connection that was never passed on. */
export function writeRefusal(
  socket: TcpSocket<unknown>,
  call: Omit<RelayTarget, "route">,
  { failure, env }: { readonly failure: Failure; readonly env: RelayEnvironment },
): void {
  const { accessLog } = env;
  if (accessLog === undefined) return;
  const record = accessLog.acquire();
  record.protocol = PROTOCOL_TCP;
  record.startMs = env.wallMs;
  record.failure = failure;
  record.downstream = new ConnectionNames(
    nameOf(call.destination ?? localOf(socket)),
    nameOf(call.source ?? remoteOf(socket)),
    call.tls,
  );
  record.requestedServerName = call.serverName;
  accessLog.write(record);
}

export function remoteOf({ remoteAddress, remotePort }: TcpSocket<unknown>): SocketAddress {
  return { address: remoteAddress, port: remotePort };
}

export function localOf({ localAddress, localPort }: TcpSocket<unknown>): SocketAddress {
  return { address: localAddress, port: localPort };
}

/** "10.0.0.7:51234", "[::1]:443" */
export function nameOf({ address, port }: SocketAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export function writeRelayRecord(relay: RelayFacts, { accessLog, nowMs }: RelayEnvironment): void {
  if (accessLog === undefined) return;
  const { target, failure } = relay;
  const record = accessLog.acquire();
  record.protocol = PROTOCOL_TCP;
  record.startMs = relay.startWallMs;
  record.durationMs = nowMs - relay.startMs;
  record.bytesReceived = relay.bytesReceived;
  record.bytesSent = relay.bytesSent;
  record.attempts = relay.attempts;
  record.failure = failure;
  if (failure?.flag === "UAEX") record.details = relay.detail;
  if (failure?.flag === "UF") record.upstreamTransportFailure = relay.detail;
  record.upstreamCluster = relay.cluster.name;
  record.upstreamHost = relay.endpoint?.authority ?? "";
  record.downstream = new ConnectionNames(relay.localName, relay.remoteName, target.tls);
  record.requestedServerName = target.serverName;
  record.routeName = target.route.name;
  accessLog.write(record);
}
