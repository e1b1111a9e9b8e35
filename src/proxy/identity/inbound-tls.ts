/**
 * The inbound port, where proxies of the mesh, strangers and plain clients call alike:
 *
 *   first bytes ─┬─ TLS, ALPN "mesh-…" ─▶ ends here; who calls has to prove who it is
 *                ├─ other TLS ─┬─ PERMISSIVE ─▶ the application's own: passed on as it is
 *                │             └─ STRICT ─────▶ ends here as well
 *                ├─ anything else ─┬─ PERMISSIVE ─▶ plaintext
 *                │                 └─ STRICT ─────▶ refused
 *                └─ none for a while, PERMISSIVE ─▶ plaintext: the server speaks first
 *
 * By the port of the application that is called; at one that has DISABLE no byte is waited for.
 */
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import { type Greeting, TlsAcceptor, type Unanswered } from "../../io/tls-acceptor.ts";
import type { ClaimJudge } from "../policy/claim-judge.ts";
import { SNIFF_MS, serverFirstPorts } from "../tcp/sniff.ts";
import { isOfMesh, type MeshIdentity } from "./mesh-identity.ts";
import type { MutualTlsMode, MutualTlsModes } from "./mutual-tls-modes.ts";
import type { RefusedHandshakes } from "./refused-handshakes.ts";

/** What an inbound listener asks of its connections. */
export interface InboundSecurity {
  readonly identity: MeshIdentity;
  /** Of the configuration in force. */
  readonly modes: () => MutualTlsModes;
  readonly refused: RefusedHandshakes;
  /** What callers say of themselves. */
  readonly claims?: ClaimJudge;
  /** TLS of the application's own. */
  readonly passOn: (socket: TcpSocket<unknown>, call: PassedCall) => void;
}

export interface PassedCall {
  /** Of the application. */
  readonly port: number;
  /** Of the ClientHello. */
  readonly serverName: string;
  readonly source: SocketAddress | undefined;
  /** What it has sent. */
  readonly early: Uint8Array;
}

export interface InboundTlsParts extends InboundSecurity {
  readonly timers: TimerWheel;
  /** Of the application, which a connection is for. */
  readonly portOf: (socket: TcpSocket<unknown>) => number;
  /** At that port the client speaks first. */
  readonly clientSpeaksFirst: (port: number) => boolean;
}

/** A client that is known to speak first may have connected in advance. */
const HTTP_MS = 5_000;

const refuses: Greeting = { plaintext: "refuse", sniffTimeoutMs: 0 };
const onlyPlain: Greeting = { plaintext: "only", sniffTimeoutMs: 0 };
const patient: Greeting = { plaintext: "accept", sniffTimeoutMs: HTTP_MS };
const brief: Greeting = { plaintext: "accept", sniffTimeoutMs: SNIFF_MS };

/** The handlers of such a listener; `owner` gets connections that may be used. */
export function behindMutualTls<C>(
  owner: SocketHandlers<C>,
  parts: InboundTlsParts,
): SocketHandlers<C> {
  const { identity, modes, refused, passOn, timers, portOf, clientSpeaksFirst } = parts;
  const greet = (socket: TcpSocket<unknown>): Greeting => {
    const port = portOf(socket);
    return greetingOf(modes().at(port), clientSpeaksFirst(port) && !serverFirstPorts.has(port));
  };
  const pass = ({ socket, hello, received, source }: Unanswered): "taken" | undefined => {
    if (isOfMesh(hello.protocols)) return undefined;
    const port = portOf(socket);
    if (modes().at(port) === "strict") return undefined;
    passOn(socket, { port, serverName: hello.serverName, source, early: received });
    return "taken";
  };
  const acceptor = new TlsAcceptor<C>(
    { tls: identity.server, timers },
    {
      ...owner,
      greet,
      pass,
      judge: (facts) => identity.judge(facts),
      refused: ({ remoteAddress }, fault, detail) => refused.note(remoteAddress, fault, detail),
    },
  );
  return acceptor.socketHandlers as SocketHandlers<C>;
}

function greetingOf(mode: MutualTlsMode, clientSpeaksFirst: boolean): Greeting {
  switch (mode) {
    case "disable":
      return onlyPlain;
    case "strict":
      return refuses;
    case "permissive":
      return clientSpeaksFirst ? patient : brief;
    default:
      return mode satisfies never;
  }
}
