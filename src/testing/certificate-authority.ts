/**
 * Issues certificates for tests, with whatever names and times a case needs: X.509 (RFC 5280)
 * written by hand, P-256 throughout. `openssl verify -x509_strict` accepts them.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";

export interface Issued {
  /** The certificate and what issued it, without the root. */
  readonly chain: string;
  readonly key: string;
}

export interface CertificateRequest {
  /** The common name. */
  readonly name: string;
  /** As "DNS:a.b", "URI:spiffe://…", "IP:127.0.0.1". */
  readonly for?: readonly string[];
  /** An hour ago unless told. */
  readonly fromMs?: number;
  /** In a day unless told. */
  readonly untilMs?: number;
}

const HOUR_MS = 3_600_000;

export class CertificateAuthority {
  /** PEM. */
  readonly certificate: string;
  readonly #name: string;
  readonly #key: KeyObject;
  readonly #above: string;

  /** A root, or below `above` an intermediate authority. */
  constructor(name = "Test root", above?: CertificateAuthority) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#name = name;
    this.#key = privateKey;
    const der = (above ?? this).#sign({ name }, privateKey, true);
    this.certificate = pem("CERTIFICATE", der);
    this.#above = above === undefined ? "" : this.certificate + above.#above;
  }

  issue(request: CertificateRequest): Issued {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const chain = pem("CERTIFICATE", this.#sign(request, privateKey, false)) + this.#above;
    return { chain, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  }

  #sign(request: CertificateRequest, key: KeyObject, isAuthority: boolean): Buffer {
    const { fromMs = Date.now() - HOUR_MS, untilMs = Date.now() + 24 * HOUR_MS } = request;
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    const ownSpki = createPublicKey(this.#key).export({ type: "spki", format: "der" });
    const algorithm = sequence(oid("2a8648ce3d040302")); // ecdsa-with-SHA256
    const extensions = [
      extension(
        "551d13",
        sequence(isAuthority ? tag(0x01, [Buffer.of(0xff)]) : Buffer.alloc(0)),
        true,
      ),
      extension("551d0e", octets(keyId(spki))),
      extension("551d23", sequence(tag(0x80, [keyId(ownSpki)]))),
      extension("551d0f", Buffer.of(3, 2, isAuthority ? 1 : 7, isAuthority ? 6 : 0x80), true),
    ];
    if (request.for !== undefined)
      extensions.push(extension("551d11", sequence(...request.for.map(generalName))));
    const body = sequence(
      tag(0xa0, [integer(Buffer.of(2))]),
      integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
      algorithm,
      commonName(this.#name),
      sequence(time(fromMs), time(untilMs)),
      commonName(request.name),
      spki,
      tag(0xa3, [sequence(...extensions)]),
    );
    return sequence(body, algorithm, tag(0x03, [Buffer.of(0), sign("sha256", body, this.#key)]));
  }
}

function tag(number: number, parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(number, ...size), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tag(0x30, parts);
const integer = (value: Buffer): Buffer => tag(0x02, [value]);
const octets = (value: Buffer): Buffer => tag(0x04, [value]);
const oid = (hex: string): Buffer => tag(0x06, [Buffer.from(hex, "hex")]);
const keyId = (spki: Buffer): Buffer => createHash("sha1").update(spki).digest();

function commonName(name: string): Buffer {
  return sequence(tag(0x31, [sequence(oid("550403"), tag(0x0c, [Buffer.from(name)]))]));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [tag(0x01, [Buffer.of(0xff)])] : [];
  return sequence(oid(id), ...critical, octets(value));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  // Two digits of the year before 2050 (RFC 5280 4.1.2.5).
  const isUtc = Number(digits.slice(0, 4)) < 2050;
  return tag(isUtc ? 0x17 : 0x18, [Buffer.from(isUtc ? digits.slice(2) : digits)]);
}

function generalName(text: string): Buffer {
  const colon = text.indexOf(":");
  const value = text.slice(colon + 1);
  const kind = text.slice(0, colon);
  if (kind === "IP") return tag(0x87, [Buffer.from(value.split(".").map(Number))]);
  return tag(kind === "URI" ? 0x86 : 0x82, [Buffer.from(value)]);
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
