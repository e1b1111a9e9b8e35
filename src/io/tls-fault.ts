/**
 * Why there is no TLS connection, as words that do not change, for counters and logs. What the
 * library said is a detail beside them.
 */
export type TlsFault =
  /** The first bytes are no TLS, and plaintext is not taken here. */
  | "not-tls"
  | "malformed-hello"
  | "hello-too-long"
  /** Nothing came, or the handshake did not get anywhere. */
  | "handshake-timeout"
  | "too-many-handshakes"
  | "no-certificate"
  | "unknown-server-name"
  | "version-refused"
  | "no-common-cipher"
  | "no-common-protocol"
  | "certificate-required"
  /** It leads to none of our roots, or is not in force. */
  | "certificate-refused"
  /** A good certificate of somebody else. */
  | "wrong-identity"
  /** The peer sent an alert: most often it does not trust our certificate. */
  | "refused-by-peer"
  | "closed-by-peer"
  | "protocol-error";

/** BoringSSL's reasons, as far as they mean something to an operator. */
const REASONS: readonly (readonly [pattern: RegExp, fault: TlsFault])[] = [
  [
    /:(UNSUPPORTED_PROTOCOL|INAPPROPRIATE_FALLBACK|TLSV1_ALERT_PROTOCOL_VERSION)/,
    "version-refused",
  ],
  [
    /:(NO_SHARED_CIPHER|WRONG_CURVE|NO_COMMON_SIGNATURE_ALGORITHMS|NO_SHARED_GROUP)/,
    "no-common-cipher",
  ],
  [/:(NO_APPLICATION_PROTOCOL|TLSV1_ALERT_NO_APPLICATION_PROTOCOL)/, "no-common-protocol"],
  [/:(PEER_DID_NOT_RETURN_A_CERTIFICATE|TLSV1_ALERT_CERTIFICATE_REQUIRED)/, "certificate-required"],
  [/:(TLSV1_UNRECOGNIZED_NAME|TLSV1_ALERT_UNRECOGNIZED_NAME)/, "unknown-server-name"],
  [/:CERTIFICATE_VERIFY_FAILED/, "certificate-refused"],
  [/:(SSLV3|TLSV1)_/, "refused-by-peer"],
  [/:(HTTP_REQUEST|HTTPS_PROXY_REQUEST)/, "not-tls"],
];

/** Of an error that Bun's `handshake` or `error` reports. */
export function tlsFaultOf(error: Error | null | undefined): TlsFault {
  const code = codeOf(error);
  if (code === "ECONNRESET" || code === "EPIPE") return "closed-by-peer";
  const message = error?.message ?? "";
  return REASONS.find(([pattern]) => pattern.test(message))?.[1] ?? "protocol-error";
}

/** "error:100000f0:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL" is for those who know it. */
export function tlsDetailOf(error: Error | null | undefined): string {
  if (error === null || error === undefined) return "";
  return error.message.replace(/^.*OPENSSL_internal:/, "") || codeOf(error);
}

export function codeOf(error: Error | null | undefined): string {
  return error && "code" in error ? String(error.code) : "";
}

/**
 * Whether an error that `handshake` reports is a verdict on the peer's certificate, whose handshake
 * was done; Bun's `ok` says so for servers only. Of a handshake that failed it is a system's word.
 */
export function isVerdict(error: Error): boolean {
  return !/^E[A-Z0-9]*$/.test(codeOf(error)) && codeOf(error) !== "";
}

/**
 * Whether a socket's `error` is about the connection: a record that does not decrypt, an alert.
 * Anything else was thrown by a handler of ours.
 */
export function isOfConnection(error: Error): boolean {
  const code = codeOf(error);
  return code.startsWith("ERR_") ? /^ERR_(SSL|TLS|OSSL)/.test(code) : /^E[A-Z]/.test(code);
}
