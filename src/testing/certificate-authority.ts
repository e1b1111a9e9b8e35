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
import { der, derBits, derOid, derSequence, derTime, Tag, toPem } from "../core/der.ts";

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
    const signed = (above ?? this).#sign({ name }, spkiOf(privateKey), true);
    this.certificate = toPem("CERTIFICATE", signed);
    this.#above = above === undefined ? "" : this.certificate + above.#above;
  }

  /** PKCS#8. */
  get keyPem(): string {
    return this.#key.export({ type: "pkcs8", format: "pem" }).toString();
  }

  issue(request: CertificateRequest): Issued {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return { chain: this.certify(request, spkiOf(privateKey)), key: pkcs8(privateKey) };
  }

  /** The chain for somebody's public key: a SubjectPublicKeyInfo. */
  certify(request: CertificateRequest, spki: Buffer): string {
    return toPem("CERTIFICATE", this.#sign(request, spki, false)) + this.#above;
  }

  /** By nobody else, and no authority; of this one's name and key. */
  selfSigned(request: Omit<CertificateRequest, "name">): Issued {
    const signed = this.#sign({ ...request, name: this.#name }, spkiOf(this.#key), false);
    return { chain: toPem("CERTIFICATE", signed), key: pkcs8(this.#key) };
  }

  #sign(request: CertificateRequest, spki: Buffer, isAuthority: boolean): Buffer {
    const { fromMs = Date.now() - HOUR_MS, untilMs = Date.now() + 24 * HOUR_MS } = request;
    const ownSpki = spkiOf(this.#key);
    const algorithm = derSequence(derOid("2a8648ce3d040302")); // ecdsa-with-SHA256
    const extensions = [
      extension(
        "551d13",
        derSequence(isAuthority ? der(Tag.boolean, Buffer.of(0xff)) : Buffer.alloc(0)),
        true,
      ),
      extension("551d0e", octets(keyId(spki))),
      extension("551d23", derSequence(der(0x80, keyId(ownSpki)))),
      extension("551d0f", Buffer.of(3, 2, isAuthority ? 1 : 7, isAuthority ? 6 : 0x80), true),
    ];
    if (request.for !== undefined)
      extensions.push(extension("551d11", derSequence(...request.for.map(generalName))));
    const body = derSequence(
      der(0xa0, der(Tag.integer, Buffer.of(2))),
      der(Tag.integer, Buffer.concat([Buffer.of(1), randomBytes(8)])),
      algorithm,
      commonName(this.#name),
      derSequence(derTime(fromMs), derTime(untilMs)),
      commonName(request.name),
      spki,
      der(0xa3, derSequence(...extensions)),
    );
    return derSequence(body, algorithm, derBits(sign("sha256", body, this.#key)));
  }
}

const octets = (value: Buffer): Buffer => der(Tag.octetString, value);
const keyId = (spki: Buffer): Buffer => createHash("sha1").update(spki).digest();

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function commonName(name: string): Buffer {
  const value = der(Tag.utf8String, Buffer.from(name));
  return derSequence(der(Tag.set, derSequence(derOid("550403"), value)));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [der(Tag.boolean, Buffer.of(0xff))] : [];
  return derSequence(derOid(id), ...critical, octets(value));
}

function generalName(text: string): Buffer {
  const colon = text.indexOf(":");
  const value = text.slice(colon + 1);
  const kind = text.slice(0, colon);
  if (kind === "IP") return der(0x87, Buffer.from(value.split(".").map(Number)));
  return der(kind === "URI" ? 0x86 : 0x82, Buffer.from(value));
}
