/**
 * What is to become of a request: its virtual host, its route, and what the route says, in order:
 * preflight, delay, abort, redirect or direct answer, else a cluster and the first try.
 */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import { Framing, type MessageHead, TargetForm } from "../../http/message-head.ts";
import { isIdempotent, MethodId } from "../../http/method.ts";
import { PathVerdict } from "../../http/path-normalization.ts";
import { corsLines } from "../filter/cors.ts";
import { hopsLeft, oneHopLess } from "../filter/max-forwards.ts";
import { Mirrored } from "../filter/mirror.ts";
import { MirroredStream } from "../filter/mirror-stream.ts";
import { Overrides } from "../filter/override.ts";
import type { EdgeView } from "../gateway/edge-view.ts";
import { isPreflight } from "../route/cors.ts";
import type { Fault, Mirror, Redirect, Route } from "../route/route.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import { isLetIn } from "./access.ts";
import { isAdmitted } from "./admission.ts";
import { runTry } from "./attempt.ts";
import { prepareCall } from "./call-rules.ts";
import { type Exchange, Form, Wake } from "./exchange.ts";
import { replyFailure, replyRoute, replyRule } from "./reply.ts";
import { rescan, writeRequestHead } from "./request-head.ts";
import { armTimer, startRouteTimeout } from "./timing.ts";

const toItself: Redirect = { status: 307, uri: undefined, authority: undefined };
const NO_BYTES = new Uint8Array(0);
const CRLF = new Uint8Array([13, 10]);
const LOCATION = new TextEncoder().encode("location: ");
const overrides = new Overrides();

/** For an exchange whose head is in env.requestHead. */
export function dispatch(ex: Exchange, path: PathVerdict): void {
  const head = ex.env.requestHead;
  if (path === PathVerdict.refused) {
    ex.detail = head.detail;
    return replyFailure(ex, head.failure!);
  }
  if (path === PathVerdict.redirected) return redirect(ex, toItself, head);
  const { access } = ex.env;
  if (access !== undefined && !isLetIn(ex, access, dispatchLetIn)) return;
  findWay(ex, head);
}

/** Whoever had to be asked has let it in. */
function dispatchLetIn(ex: Exchange): void {
  findWay(ex, rescan(ex));
}

function findWay(ex: Exchange, head: MessageHead): void {
  if (head.has(FieldId.maxForwards) && isLastHop(ex, head)) return;
  const failure = findRoute(ex, head);
  if (failure !== undefined) return replyFailure(ex, failure);
  const { policy } = ex.env;
  if (policy !== undefined && !isAdmitted(ex, policy, dispatchAdmitted)) return;
  followRoute(ex, ex.route!, head);
}

/** Policy has let it in after a while, or has changed its head: another route may be the one. */
function dispatchAdmitted(ex: Exchange): void {
  const head = rescan(ex);
  const failure = findRoute(ex, head);
  if (failure === undefined) followRoute(ex, ex.route!, head);
  else replyFailure(ex, failure);
}

function followRoute(ex: Exchange, route: Route, head: MessageHead): void {
  if (route.cors !== undefined && applyCors(ex, head)) return;
  if (route.fault !== undefined && delays(ex, route.fault)) return;
  act(ex, route, head);
}

/** The injected delay has passed. */
export function dispatchDelayed(ex: Exchange): void {
  ex.delayed = true;
  act(ex, ex.route!, rescan(ex));
}

/** True: the request asked for us, and is answered. */
function isLastHop(ex: Exchange, head: MessageHead): boolean {
  const hops = hopsLeft(head);
  if (hops === 0) {
    if (head.method === MethodId.trace) replyFailure(ex, Failures.methodRefused);
    else replyRoute(ex, 200, NO_BYTES, NO_BYTES);
    return true;
  }
  if (hops > 0) ex.hopField = oneHopLess(hops);
  return false;
}

function findRoute(ex: Exchange, head: MessageHead): Failure | undefined {
  const { listener } = ex.downstream!;
  if (listener.edge !== undefined) return findEdgeRoute(ex, head, listener.edge);
  if (listener.route !== undefined) {
    ex.route = listener.route;
    return ex.connects ? Failures.methodRefused : undefined;
  }
  if (!ex.env.ready) return Failures.notReady;
  if (head.schemeIsHttps) return Failures.noRoute;
  const host = findHost(ex, head);
  if (host === undefined) return findOutside(ex, head);
  ex.host = host;
  ex.route = host.match(head, false);
  if (ex.route === undefined) return Failures.noRoute;
  if (ex.websocket && !ex.route.websocket) return Failures.upgradeRefused;
  return undefined;
}

/** By the authority; for a captured connection else by the address that it wanted. */
function findHost(ex: Exchange, head: MessageHead): VirtualHost | undefined {
  const { authorityStart: from, authorityEnd: to } = head;
  const { captured, defaultPort } = ex.downstream!;
  const { snapshot } = ex.generation!;
  const host =
    from === -1 ? undefined : snapshot.findVirtualHost(head.bytes, from, to, defaultPort);
  if (host !== undefined || captured === undefined) return host;
  return ex.env.capture?.hostAt(captured);
}

/** A host that nobody of the mesh serves: only to an address that the caller itself found. */
function findOutside(ex: Exchange, head: MessageHead): Failure | undefined {
  const { captured } = ex.downstream!;
  const { capture, unknownHosts } = ex.env;
  const unknown = ex.generation!.snapshot.settings.unknownHost;
  const isReal = captured !== undefined && capture?.isMade(captured.address) !== true;
  const proxied = ex.connects || head.form === TargetForm.absolute || isReal;
  const passes = unknown !== undefined && proxied && (head.authorityStart !== -1 || isReal);
  unknownHosts?.note(hostText(ex, head), passes ? "passed on" : "refused", "");
  if (!passes) return Failures.noRoute;
  ex.route = ex.env.passthroughRoute(unknown);
  return undefined;
}

function hostText({ downstream }: Exchange, head: MessageHead): string {
  if (head.authorityStart !== -1) return head.text(head.authorityStart, head.authorityEnd);
  const { captured } = downstream!;
  return captured === undefined ? "" : `${captured.address}:${captured.port}`;
}

/** What a gateway was not told to let in goes nowhere, and it is nobody's tunnel. */
function findEdgeRoute(ex: Exchange, head: MessageHead, view: EdgeView): Failure | undefined {
  if (ex.connects) return Failures.methodRefused;
  const host = view.in(ex.generation!.snapshot)?.findVirtualHost(head);
  ex.host = host;
  ex.route = host?.match(head, ex.env.edge.secure);
  if (ex.route === undefined) return Failures.noRoute;
  return ex.websocket && !ex.route.websocket ? Failures.upgradeRefused : undefined;
}

/** True: the preflight is answered. */
function applyCors(ex: Exchange, head: MessageHead): boolean {
  const preflight = isPreflight(head);
  const lines = corsLines(ex.route!.cors!, head, preflight);
  ex.responseFields = lines;
  if (!preflight || lines === undefined) return false;
  replyRoute(ex, 200, lines, NO_BYTES);
  return true;
}

function delays(ex: Exchange, fault: Fault): boolean {
  const { env } = ex;
  if (fault.delayMs === 0 || env.random() >= fault.delayFraction) return false;
  ex.wake = Wake.afterDelay;
  ex.wakeMs = env.nowMs + fault.delayMs;
  armTimer(ex);
  return true;
}

function act(ex: Exchange, route: Route, head: MessageHead): void {
  const { fault, action } = route;
  if (fault !== undefined && fault.abortStatus !== 0 && ex.env.random() < fault.abortFraction) {
    return replyRule(ex, Failures.faultAbort, fault.abortStatus);
  }
  switch (action.at) {
    case "redirect":
      return redirect(ex, action.redirect, head);
    case "direct":
      return replyRoute(
        ex,
        action.direct.status,
        ex.responseFields ?? NO_BYTES,
        action.direct.body,
      );
    case "forward":
      ex.cluster = action.clusters.choose(
        action.clusters.entries.length === 1 ? 0 : ex.env.random(),
      );
      return forward(ex, route, head);
  }
}

function redirect(ex: Exchange, to: Redirect, head: MessageHead): void {
  const { targets, edge } = ex.env;
  const secure = ex.downstream!.edge !== undefined && edge.secure;
  const length = targets.location(to, head, secure);
  if (length < 0) return replyFailure(ex, Failures.targetTooLong);
  const fields = ex.responseFields ?? NO_BYTES;
  const lines = Buffer.concat([LOCATION, targets.out.subarray(0, length), CRLF, fields]);
  replyRoute(ex, to.status, lines, NO_BYTES);
}

function forward(ex: Exchange, route: Route, head: MessageHead): void {
  overrides.read(head);
  ex.timeoutMs = overrides.timeoutMs === -1 ? route.timeoutMs : overrides.timeoutMs;
  const { retry } = route;
  if (retry !== undefined) {
    ex.retriesLeft = overrides.retries === -1 ? retry.attempts : overrides.retries;
    ex.perTryTimeoutMs = retry.perTryTimeoutMs;
  }
  if (ex.call !== undefined) prepareCall(ex, ex.call, head, overrides);
  if (route.rewrite?.uri !== undefined) {
    const { targets } = ex.env;
    const length = targets.target(route.rewrite, head);
    if (length < 0) return replyFailure(ex, Failures.targetTooLong);
    ex.target = targets.out.slice(0, length);
  }
  const mayRepeat = ex.retriesLeft > 0 || retry !== undefined || isIdempotent(ex.method);
  if (!ex.requestDone && mayRepeat && !ex.connects) ex.beginReplay();
  if (ex.requestDone) startRouteTimeout(ex);
  if (route.mirror !== undefined) beginMirror(ex, route.mirror, head);
  runTry(ex);
}

function beginMirror(ex: Exchange, mirror: Mirror, head: MessageHead): void {
  const { env } = ex;
  if (ex.connects || ex.websocket || env.random() >= mirror.fraction) return;
  const shadow = shadowHead(ex, head);
  if (shadow === undefined) return;
  if (mirror.cluster.settings.protocol === "http2") {
    ex.copy = MirroredStream.begin(env, mirror.cluster, shadow, ex.requestDone);
    ex.copyForm = Form.raw;
    ex.copyIsStream = true;
    return;
  }
  ex.copy = Mirrored.begin(env, mirror.cluster);
  ex.copyForm = copyFormOf(ex);
  ex.copy?.body(shadow, 0, shadow.length);
}

/** Undefined: it is too large with what is added. */
function shadowHead(ex: Exchange, head: MessageHead): Uint8Array | undefined {
  const { output } = ex.env;
  output.begin(0);
  writeRequestHead(ex, output, head);
  output.close();
  const written = output.end() >= 0;
  const shadow = written ? shadowed(output.out, output.at) : undefined;
  output.begin(0);
  return shadow;
}

/** Content that the exchange decodes is framed anew for a copy in HTTP/1.1. */
function copyFormOf(ex: Exchange): Form {
  if (ex.requestFraming === Framing.stream) return Form.chunks;
  return ex.requestFraming === Framing.chunked && decodes(ex) ? Form.chunks : Form.raw;
}

/** Whether chunked content is taken out of its framing on its way. */
function decodes({ cluster }: Exchange): boolean {
  return cluster!.settings.protocol === "http2";
}

/** The head with "-shadow" after the name in Host, before a port. */
function shadowed(bytes: Uint8Array, length: number): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1");
  const changed = text.replace(
    /^(host:[ \t]*)(\[[^\]]*\]|[^:\r\n \t]*)/im,
    (_, name: string, host: string) => `${name}${host}-shadow`,
  );
  return Buffer.from(changed, "latin1");
}
