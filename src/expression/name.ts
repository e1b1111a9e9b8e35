/**
 * Names that are more than text: DNS names (IDNA, RFC 5891), e-mail addresses (RFC 5322 addr-spec)
 * and URIs (RFC 3986). Each is validated by a function that says what is wrong, and compared by
 * what it means.
 */
import { Fault } from "../attribute/fault.ts";
import { parseIpAddress } from "../attribute/ip-address.ts";

/** What is wrong with a name; undefined: nothing. */
export function dnsNameFault(text: string): string | undefined {
  const name = text.length > 1 && text.endsWith(".") ? text.slice(0, -1) : text;
  for (const label of name.split(/[.\u3002\uff0e\uff61]/)) {
    if (label === "") return `idna: invalid label ${JSON.stringify(text)}`;
    if (/^-|-$|^..--./.test(label) && !/^xn--[a-z\d-]*[a-z\d]$/i.test(label))
      return `idna: invalid label ${JSON.stringify(label)}`;
  }
  return undefined;
}

/** Lower case, as the Unicode of its labels, without a dot at the end; a Fault where it is none. */
function canonicalName(text: string): string | Fault {
  const ascii = /^[\x00-\x7f]*$/.test(text);
  const mapped = ascii ? text.toLowerCase() : mapName(text);
  const wrong = /[\x00-\x2c\x2f\x3a-\x60\x7b-\x7f]/u.exec(mapped);
  if (wrong !== null) {
    const hex = wrong[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
    return new Fault(`idna: disallowed rune U+${hex}`);
  }
  const name = mapped.endsWith(".") ? mapped.slice(0, -1) : mapped;
  for (const label of name.split("."))
    if (/^-|-$|^..--./.test(label) && !label.startsWith("xn--"))
      return new Fault(`idna: invalid label ${JSON.stringify(label)}`);
  if (ascii && !name.includes("xn--")) return name;
  try {
    return new URL(`http://${name}`).hostname;
  } catch {
    return new Fault(`idna: invalid label ${JSON.stringify(name)}`);
  }
}

/** The mapping of UTS 46, transitional. */
function mapName(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll("\u00df", "ss")
    .replaceAll("\u03c2", "\u03c3")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .replaceAll("\u3002", ".")
    .normalize("NFC");
}

export function dnsNamesEqual(a: string, b: string): boolean | Fault {
  const left = canonicalName(a);
  if (left instanceof Fault) return left;
  const right = canonicalName(b);
  return right instanceof Fault ? right : left === right;
}

/** RFC 5322 3.2.3: characters of an atom, RFC 6531 included. */
const atoms = String.raw`[^\s\x00-\x1f()<>[\]:;@\\,."]+(?:\.[^\s\x00-\x1f()<>[\]:;@\\,."]+)*`;
const quoted = String.raw`"(?:[^"\\\x00-\x1f]|\\[\x20-\x7e])*"`;
const addrSpec = new RegExp(
  String.raw`^[ \t]*(?:<[ \t]*)?((?:${atoms})|${quoted})@(${atoms})(?:[ \t]*(>))?[ \t]*$`,
  "u",
);

const addrStart = new RegExp(String.raw`^[ \t]*(?:${atoms}|${quoted})@${atoms}[ \t]*`, "u");

interface Address {
  readonly local: string;
  readonly domain: string;
}

function parseAddress(text: string): Address | Fault {
  if (text === "") return new Fault("mail: no address");
  const match = text.length > 1024 ? null : addrSpec.exec(text);
  if (match === null || text.includes("<") !== (match[3] !== undefined))
    return new Fault(addressFault(text));
  const [, local = "", domain = ""] = match;
  return {
    local: local.startsWith('"') ? local.slice(1, -1).replace(/\\(.)/g, "$1") : local,
    domain,
  };
}

/** An address that something follows is told from what is none. */
function addressFault(text: string): string {
  if (!text.includes("@")) return "mail: missing '@' or angle-addr";
  const first = text.length > 1024 ? null : addrStart.exec(text);
  const rest = first === null ? "" : text.slice(first[0].length);
  return rest === "" || rest.startsWith(".")
    ? "mail: no angle-addr"
    : `mail: expected single address, got ${JSON.stringify(rest)}`;
}

export function emailFault(text: string): string | undefined {
  const address = parseAddress(text);
  if (address instanceof Fault) return address.message;
  const fault = dnsNameFault(address.domain);
  return fault && `error converting '${address.domain}' to dns name: '${fault}'`;
}

/** The part before the @ letter by letter, the domain as a DNS name. */
export function emailsEqual(a: string, b: string): boolean | Fault {
  const left = parseAddress(a);
  if (left instanceof Fault) return left;
  const right = parseAddress(b);
  if (right instanceof Fault) return right;
  if (left.local !== right.local) return false;
  return dnsNamesEqual(left.domain, right.domain);
}

interface Uri {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: string;
  readonly rest: string;
}

function parseUri(text: string): Uri | Fault {
  const fault = (why: string): Fault =>
    new Fault(`error converting string to uri '${text}': 'parse ${JSON.stringify(text)}: ${why}'`);
  if (text === "") return new Fault("error converting string to uri: empty string");
  if (/[\x00-\x1f\x7f]/.test(text)) return fault("net/url: invalid control character in URL");
  if (text.startsWith(":")) return fault("missing protocol scheme");
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(text)?.[1] ?? "";
  const whole = text.slice(scheme === "" ? 0 : scheme.length + 1).replace(/#$/, "");
  const path = whole.replace(/[?#].*$/s, "");
  if (scheme === "" && /^[^/]*:/.test(path))
    return fault("first path segment in URL cannot contain colon");
  const opaque = scheme !== "" && !whole.startsWith("/");
  const fragment = /#(.*)$/s.exec(whole)?.[1] ?? "";
  const escaped = /%(?![\da-f]{2}).{0,2}/is.exec(opaque ? fragment : path + fragment);
  if (escaped !== null) return fault(`invalid URL escape ${JSON.stringify(escaped[0])}`);
  const authority = /^\/\/([^/?#]*)(.*)$/s.exec(whole);
  if (authority === null || (scheme === "" && whole.startsWith("///")))
    return { scheme: scheme.toLowerCase(), user: "", host: "", port: "", rest: whole };
  const [, place = "", rest = ""] = authority;
  const at = place.lastIndexOf("@");
  const found = hostAndPort(place.slice(at + 1));
  if (typeof found === "string") return fault(found);
  const user = place.slice(0, Math.max(at, 0));
  if (/[^\w\-.~!$&'()*+,;=:%@]/.test(user)) return fault("net/url: invalid userinfo");
  return { scheme: scheme.toLowerCase(), user, ...found, rest };
}

function hostAndPort(place: string): { host: string; port: string } | string {
  const open = place.startsWith("[");
  const close = place.lastIndexOf("]");
  if (open && close === -1) return "missing ']' in host";
  const colon = open ? close + 1 : place.lastIndexOf(":");
  const host = open || colon !== -1 ? place.slice(0, colon) : place;
  const port = open || colon !== -1 ? place.slice(colon) : "";
  if (!/^(?::\d*)?$/.test(port)) return `invalid port ${JSON.stringify(port)} after host`;
  const wrong = /[\x00-\x20\\^`{|}/?#@]/.exec(host);
  if (wrong !== null) return `invalid character ${JSON.stringify(wrong[0])} in host name`;
  const escaped = /%(?!25|[89a-f][\da-f]).{0,2}/i.exec(host);
  if (!open && escaped !== null) return `invalid URL escape ${JSON.stringify(escaped[0])}`;
  return { host, port: port.slice(1) };
}

export function uriFault(text: string): string | undefined {
  const uri = parseUri(text);
  return uri instanceof Fault ? uri.message : undefined;
}

/** Schemes in any case; hosts of http and https as DNS names; the rest letter by letter. */
export function urisEqual(a: string, b: string): boolean | Fault {
  const left = parseUri(a);
  if (left instanceof Fault) return left;
  const right = parseUri(b);
  if (right instanceof Fault) return right;
  const web = /^https?$/.test(left.scheme);
  const same =
    left.scheme === right.scheme &&
    left.user === right.user &&
    left.port === right.port &&
    left.rest === right.rest;
  if (!same || left.host === right.host) return same;
  if (!web) return false;
  const literal = left.host.startsWith("[") || right.host.startsWith("[");
  if (literal) return sameLiteral(left.host, right.host);
  return dnsNamesEqual(left.host, right.host);
}

function sameLiteral(a: string, b: string): boolean {
  const [left, right] = [parseIpAddress(a.slice(1, -1)), parseIpAddress(b.slice(1, -1))];
  return left !== undefined && right !== undefined && left.toHex() === right.toHex();
}
