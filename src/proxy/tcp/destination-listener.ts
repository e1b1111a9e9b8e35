/**
 * A local port that stands for one destination, for applications whose connections are not
 * captured: `--tcp-listen 3306=mysql.default:3306`, and mysql's clients call 127.0.0.1:3306.
 *
 * The destination is looked for at each connection, in the snapshot that is published then.
 */
import { Failures } from "../../core/failure.ts";
import { isWithinMachine, setPlainCongestionControl } from "../../io/socket-options.ts";
import { type ListenOptions, listenTcp, type TcpListener } from "../../io/tcp-listener.ts";
import type { TargetFinder, TcpCall, TcpView } from "./find-target.ts";
import { relayHandlers, type TcpRelays } from "./relays.ts";

export interface DestinationListenerParts {
  readonly relays: TcpRelays;
  readonly targets: TargetFinder;
  /** What is published now; undefined: nothing yet. */
  readonly view: () => TcpView | undefined;
  /** Whether one more connection may be accepted; a refused one is counted by who refuses. */
  readonly admits: () => boolean;
}

/** `destination`: "mysql.default.svc.cluster.local:3306". Throws ListenError. */
export function listenForDestination(
  at: ListenOptions,
  destination: string,
  { relays, targets, view, admits }: DestinationListenerParts,
): TcpListener {
  const call: TcpCall = {
    from: "outbound",
    destination: undefined,
    source: undefined,
    serverName: "",
    named: destination,
  };
  const handlers = relayHandlers((socket) => {
    if (!admits()) return socket.terminate();
    relays.env.tick();
    if (isWithinMachine(socket.localAddress, socket.remoteAddress))
      setPlainCongestionControl(socket.fd);
    const published = view();
    if (published === undefined) return relays.refuse(socket, call, Failures.notReady);
    const target = targets.find(published, call, socket.remoteAddress);
    if (target === undefined) relays.refuse(socket, call, Failures.noRoute);
    else relays.begin(socket, target);
  });
  return listenTcp(at, handlers);
}
