/**
 * A second, slow and strict reading of HTTP/1.1 (RFC 9110, RFC 9112), by regular expressions over
 * text, sharing nothing with http1/: what judges the codec and what a proxy sent.
 *
 * Text is one character an octet. A message is complete, still incomplete ("wait") or refused; the
 * reading goes on with the next message until the text ends, or the connection would.
 */
import {
  type Bodies,
  OracleRefusal,
  OracleWait,
  readChunked,
  takeLine,
} from "./http-oracle-body.ts";

export interface OracleMessage {
  readonly start: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly minorVersion: number;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly chunked: boolean;
  readonly closes: boolean;
  /** Ends where the connection ends. */
  readonly untilClose: boolean;
  /** Octets that the message took. */
  readonly end: number;
}

export interface OracleReading {
  readonly messages: readonly OracleMessage[];
  /** What follows the messages. "ignore": octets that may not be read as a message. */
  readonly tail: "none" | "reject" | "wait" | "ignore";
  readonly why: string;
  readonly http2Preface: boolean;
}

export interface OracleContext {
  readonly response?: boolean;
  readonly requestMethod?: string;
  readonly upgradeWasSent?: boolean;
  /** Responses: no more octets will come. */
  readonly closed?: boolean;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const hostPattern = /^(\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(:\d*)?$/;

/** Reads as many messages as the text holds. */
export function readOracle(text: string, context: OracleContext = {}): OracleReading {
  const messages: OracleMessage[] = [];
  const reading = (tail: OracleReading["tail"], why: string): OracleReading => {
    return { messages, tail, why, http2Preface: text.startsWith("PRI * HTTP/2.0\r\n") };
  };
  for (let at = 0; at < text.length; ) {
    const last = messages.at(-1);
    if (last !== undefined && endsReading(last)) return reading("ignore", "the connection ended");
    try {
      const read = context.response === true ? readResponse : readRequest;
      const message = read(text, at, context);
      if (message === undefined) return reading("none", "");
      messages.push(message);
      at = message.end;
    } catch (thrown) {
      if (thrown instanceof OracleRefusal) return reading("reject", thrown.message);
      if (thrown instanceof OracleWait) return reading("wait", thrown.message);
      throw thrown;
    }
  }
  return reading("none", "");
}

/** An Upgrade to anything but websocket is left out by a proxy, and what follows is a request. */
function endsReading(message: OracleMessage): boolean {
  const { fields, status, method } = message;
  if (status >= 100 && status < 200 && status !== 101) return false;
  const upgrades =
    method === "GET" &&
    message.minorVersion === 1 &&
    valuesOf(fields, "upgrade").join().toLowerCase() === "websocket" &&
    listOf(fields, "connection").includes("upgrade") &&
    !message.chunked &&
    valuesOf(fields, "content-length").length === 0;
  return message.closes || method === "CONNECT" || upgrades || status === 101;
}

function readRequest(text: string, from: number): OracleMessage | undefined {
  let at = from;
  while (text.startsWith("\r\n", at)) at += 2;
  if (at === text.length) {
    if (from > 0) return undefined;
    throw new OracleWait("no request line");
  }
  const [line, afterLine] = takeLine(text, at, "request line");
  const parts = line.split(" ");
  if (parts.length !== 3) throw new OracleRefusal("request line is not three words");
  const [method = "", target = "", version = ""] = parts;
  if (!token.test(method)) throw new OracleRefusal("method is not a token");
  if (!/^[\x21-\x7e]+$/.test(target)) throw new OracleRefusal("octets of the target");
  if (!/^HTTP\/\d\.\d$/.test(version)) throw new OracleRefusal("version");
  if (version[5] !== "1") throw new OracleRefusal("major version is not 1");
  const minorVersion = version[7] === "0" ? 0 : 1;
  const authority = readTarget(method, target);
  const { fields, end } = readFields(text, afterLine, "header");
  checkHost(fields, minorVersion, method === "CONNECT" ? undefined : authority);
  const bodies = readFraming(fields, minorVersion);
  if (method === "CONNECT" && (bodies.chunked || (bodies.length ?? 0) > 0)) {
    throw new OracleRefusal("CONNECT with content");
  }
  if (valuesOf(fields, "expect").some((value) => value.toLowerCase() !== "100-continue")) {
    throw new OracleRefusal("unknown expectation");
  }
  const options = readConnection(fields);
  const content = readContent(text, end, bodies);
  const closes = options.includes("close") || minorVersion === 0;
  const head = { start: line, method, target, status: 0, minorVersion, fields, closes };
  return { ...head, ...content, chunked: bodies.chunked, untilClose: false };
}

function readResponse(text: string, from: number, context: OracleContext): OracleMessage {
  const [line, afterLine] = takeLine(text, from, "status line");
  const match = /^HTTP\/1\.(\d) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(line);
  if (match === null) throw new OracleRefusal("status line");
  const minorVersion = match[1] === "0" ? 0 : 1;
  const status = Number(match[2]);
  const { fields, end } = readFields(text, afterLine, "header");
  const length = fields.find(([name]) => name === "content-length");
  if (length !== undefined) length[1] = length[1].replace(/^0+(?=.)/, "");
  const tunnels = context.requestMethod === "CONNECT" && status >= 200 && status < 300;
  const bodiless = status < 200 || (status === 204 && !tunnels);
  const protocol = fields.find(([name]) => name === "upgrade")?.[1].toLowerCase();
  if (status === 101 && (context.upgradeWasSent !== true || protocol !== "websocket")) {
    throw new OracleRefusal("101 to what nobody asked for");
  }
  const framing = bodiless
    ? { chunked: false, length: undefined }
    : readFraming(fields, minorVersion);
  const options = readConnection(fields);
  const none = bodiless || tunnels || context.requestMethod === "HEAD" || status === 304;
  const untilClose = !none && !framing.chunked && framing.length === undefined;
  const content = none
    ? { body: "", trailers: [], end }
    : untilClose
      ? { body: text.slice(end), trailers: [], end: text.length }
      : readContent(text, end, framing);
  const keeps = minorVersion === 1 || options.includes("keep-alive");
  const closes = tunnels || untilClose || !keeps || options.includes("close");
  if (untilClose && context.closed !== true) throw new OracleWait("content until the close");
  const head = { start: line, method: "", target: "", status, minorVersion, fields, closes };
  return { ...head, ...content, chunked: framing.chunked && !none, untilClose };
}

interface TargetAuthority {
  readonly authority: string;
  readonly standardPort: string;
}

/** Returns the authority of an absolute target; refuses what is none of the four forms. */
function readTarget(method: string, target: string): TargetAuthority | undefined {
  if (target.includes("#")) throw new OracleRefusal("fragment in the target");
  if (method === "CONNECT") {
    const match = /^(\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+):(\d+)$/.exec(target);
    if (match === null || Number(match[2]) > 65535 || Number(match[2]) === 0) {
      throw new OracleRefusal("CONNECT target");
    }
    return undefined;
  }
  if (target.startsWith("/") || (target === "*" && method === "OPTIONS")) return undefined;
  const absolute = /^(https?):\/\/([^/?]+)/i.exec(target);
  if (absolute === null) throw new OracleRefusal("form of the target");
  const [, scheme = "", authority = ""] = absolute;
  if (!isHost(authority) || /^(:|$)/.test(authority)) throw new OracleRefusal("target authority");
  const standardPort = scheme.toLowerCase() === "https" ? "443" : "80";
  return { authority: canonical(authority, standardPort), standardPort };
}

function checkHost(
  fields: OracleMessage["fields"],
  minorVersion: number,
  target: TargetAuthority | undefined,
): void {
  const hosts = valuesOf(fields, "host");
  if (hosts.length > 1) throw new OracleRefusal("more than one Host");
  if (hosts.length === 0) {
    if (minorVersion === 1) throw new OracleRefusal("no Host");
    return;
  }
  if (!isHost(hosts[0]!)) throw new OracleRefusal("Host is no host");
  if (target === undefined) return;
  if (canonical(hosts[0]!, target.standardPort) !== target.authority)
    throw new OracleRefusal("Host and target differ");
}

function isHost(text: string): boolean {
  const match = hostPattern.exec(text);
  return match !== null && Number((match[2] ?? ":0").slice(1)) <= 65535;
}

function canonical(authority: string, standardPort: string): string {
  const match = hostPattern.exec(authority);
  if (match === null) return authority;
  const port = Number((match[2] ?? "").slice(1)) || Number(standardPort);
  return `${match[1]!.toLowerCase()}:${port}`;
}

/** Field lines up to the empty line, names in lower case. */
function readFields(
  text: string,
  from: number,
  kind: string,
): { fields: [string, string][]; end: number } {
  const fields: [string, string][] = [];
  for (let at = from; ; ) {
    const [line, next] = takeLine(text, at, kind);
    if (line === "") return { fields, end: next };
    fields.push(splitField(line));
    at = next;
  }
}

function splitField(line: string): [string, string] {
  const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
  if (match === null) throw new OracleRefusal(`field line ${JSON.stringify(line.slice(0, 40))}`);
  return [match[1]!.toLowerCase(), match[2]!.replace(/^[ \t]+|[ \t]+$/g, "")];
}

function readFraming(fields: OracleMessage["fields"], minorVersion: number): Bodies {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  if (lengths.length > 1) throw new OracleRefusal("Content-Length more than once");
  if (lengths.length === 1 && !/^(0|[1-9]\d*)$/.test(lengths[0]!)) {
    throw new OracleRefusal("Content-Length is no number");
  }
  if (Number(lengths[0] ?? 0) > Number.MAX_SAFE_INTEGER) throw new OracleRefusal("Content-Length");
  if (codings.length === 0) {
    return { chunked: false, length: lengths.length === 0 ? undefined : Number(lengths[0]) };
  }
  if (codings.length > 1 || codings[0]!.toLowerCase() !== "chunked") {
    throw new OracleRefusal("Transfer-Encoding is not chunked alone");
  }
  if (minorVersion === 0) throw new OracleRefusal("Transfer-Encoding in HTTP/1.0");
  if (lengths.length > 0) throw new OracleRefusal("both framings");
  return { chunked: true, length: undefined };
}

function readContent(
  text: string,
  from: number,
  bodies: Bodies,
): { body: string; trailers: [string, string][]; end: number } {
  if (bodies.chunked) {
    const { body, end } = readChunked(text, from);
    const section = readFields(text, end, "trailer");
    return { body, trailers: section.fields, end: section.end };
  }
  const end = from + (bodies.length ?? 0);
  if (end > text.length) throw new OracleWait("content incomplete");
  return { body: text.slice(from, end), trailers: [], end };
}

function readConnection(fields: OracleMessage["fields"]): string[] {
  const options = listOf(fields, "connection");
  if (options.some((option) => !token.test(option))) throw new OracleRefusal("Connection");
  return options;
}

export function valuesOf(fields: OracleMessage["fields"], name: string): string[] {
  return fields.filter(([key]) => key === name).map(([, value]) => value);
}

/** Elements of a list field, in lower case, without empty ones. */
function listOf(fields: OracleMessage["fields"], name: string): string[] {
  return valuesOf(fields, name)
    .flatMap((value) => value.split(","))
    .map((element) => element.replace(/^[ \t]+|[ \t]+$/g, "").toLowerCase())
    .filter((element) => element !== "");
}
