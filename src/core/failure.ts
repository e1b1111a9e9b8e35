/**
 * Every way in which a proxied exchange can end badly, as values.
 *
 * A Failure is data, not an exception: one object per cause, made once and compared by identity.
 * The data plane returns it and never throws: the peer decides how often this happens. `flag` is
 * what the access log prints, in the letters operators know from Envoy's RESPONSE_FLAGS; `reason`
 * is what our own reply says in its `x-mesh-reason` header and the log in its details.
 *
 * A new cause is one new row; reply, log line, metric label and retry all follow from it.
 */
export type Origin = "downstream" | "upstream" | "local";

/** Whether to try again: never, if no byte was sent yet, or if the method is idempotent. */
export type Retry = "never" | "unsent" | "idempotent";

export interface Failure {
  readonly name: string;
  readonly flag: string;
  readonly origin: Origin;
  /** The status of our own reply; 0 where nobody is left to read one. */
  readonly http: number;
  readonly grpc: number;
  readonly retry: Retry;
  /** Stable words for operators, in lower case with hyphens. */
  readonly reason: string;
}

type Row = readonly [
  flag: string,
  origin: Origin,
  http: number,
  grpc: number,
  retry: Retry,
  reason: string,
];

// biome-ignore format: a table reads as a table
const rows = {
  // What a downstream sent.
  badRequestLine:       ["DPE",  "downstream", 400, 13, "never", "bad-request-line"],
  badTarget:            ["DPE",  "downstream", 400, 13, "never", "bad-request-target"],
  badHost:              ["DPE",  "downstream", 400, 13, "never", "bad-host"],
  badField:             ["DPE",  "downstream", 400, 13, "never", "bad-field-line"],
  badContentLength:     ["DPE",  "downstream", 400, 13, "never", "bad-content-length"],
  badTransferEncoding:  ["DPE",  "downstream", 400, 13, "never", "bad-transfer-encoding"],
  ambiguousFraming:     ["DPE",  "downstream", 400, 13, "never", "ambiguous-framing"],
  badChunk:             ["DPE",  "downstream", 400, 13, "never", "bad-chunk"],
  badWebContent:        ["DPE",  "downstream", 400, 13, "never", "bad-grpc-web-content"],
  badTrailer:           ["DPE",  "downstream", 400, 13, "never", "bad-trailer"],
  badConnection:        ["DPE",  "downstream", 400, 13, "never", "bad-connection-option"],
  unsupportedVersion:   ["DPE",  "downstream", 505, 12, "never", "unsupported-http-version"],
  unsupportedCoding:    ["DPE",  "downstream", 501, 12, "never", "unsupported-transfer-coding"],
  unknownExpectation:   ["DPE",  "downstream", 417, 13, "never", "unknown-expectation"],
  targetTooLong:        ["DPE",  "downstream", 414,  8, "never", "request-target-too-long"],
  headTooLarge:         ["DPE",  "downstream", 431,  8, "never", "header-fields-too-large"],
  contentTooLarge:      ["DPE",  "downstream", 413,  8, "never", "content-too-large"],
  headTimeout:          ["DT",   "downstream", 408,  4, "never", "request-head-timeout"],
  bodyTimeout:          ["DT",   "downstream", 408,  4, "never", "request-body-timeout"],
  unsupportedProtocol:  ["DPE",  "downstream", 501, 12, "never", "unsupported-connect-protocol"],
  http2Malformed:       ["DPE",  "downstream", 400, 13, "never", "http2-malformed-message"],
  http2Protocol:        ["DPE",  "downstream",   0, 13, "never", "http2-protocol-error"],
  http2Compression:     ["DPE",  "downstream",   0, 13, "never", "http2-compression-error"],
  http2FlowControl:     ["DPE",  "downstream",   0, 13, "never", "http2-flow-control-error"],
  streamLimit:          ["OM",   "downstream",   0, 14, "never", "http2-stream-limit"],
  rapidReset:           ["OM",   "downstream",   0,  8, "never", "http2-rapid-reset"],
  provokedReset:        ["OM",   "downstream",   0,  8, "never", "http2-provoked-resets"],
  continuationFlood:    ["OM",   "downstream",   0,  8, "never", "http2-continuation-flood"],
  settingsFlood:        ["OM",   "downstream",   0,  8, "never", "http2-settings-flood"],
  pingFlood:            ["OM",   "downstream",   0,  8, "never", "http2-ping-flood"],
  ignoredFlood:         ["OM",   "downstream",   0,  8, "never", "http2-ignored-frame-flood"],
  emptyDataFlood:       ["OM",   "downstream",   0,  8, "never", "http2-empty-data-flood"],
  windowFlood:          ["OM",   "downstream",   0,  8, "never", "http2-window-update-flood"],
  untakenFlood:         ["OM",   "downstream",   0,  8, "never", "http2-untaken-answers"],
  headerBomb:           ["OM",   "downstream",   0,  8, "never", "http2-header-bomb"],
  settingsTimeout:      ["DT",   "downstream",   0,  4, "never", "http2-settings-timeout"],
  downstreamStalled:    ["DT",   "downstream",   0,  4, "never", "downstream-takes-nothing"],
  downstreamSilent:     ["DC",   "downstream",   0,  1, "never", "downstream-silent"],
  downstreamReset:      ["DC",   "downstream",   0,  1, "never", "downstream-reset"],
  downstreamGone:       ["DC",   "downstream",   0,  1, "never", "downstream-closed"],
  // What we decided.
  noRoute:              ["NR",   "local", 404, 12, "never", "no-route"],
  noCluster:            ["NC",   "local", 503, 14, "never", "no-cluster"],
  noUpstream:           ["UH",   "local", 503, 14, "never", "no-healthy-upstream"],
  noPeerIdentity:       ["UH",   "local", 503, 14, "never", "no-upstream-with-identity"],
  noOwnIdentity:        ["UF",   "local", 503, 14, "never", "no-identity-of-our-own"],
  overflow:             ["UO",   "local", 503, 14, "never", "circuit-breaker-open"],
  retryOverflow:        ["URX",  "upstream", 503, 14, "never", "retry-limit-reached"],
  faultAbort:           ["FI",   "local", 503, 14, "never", "fault-abort"],
  faultDelay:           ["DI",   "local",   0,  0, "never", "fault-delay"],
  hedged:               ["HG",   "local",   0,  0, "never", "hedged"],
  loop:                 ["NR",   "local", 508, 13, "never", "forwarding-loop"],
  upgradeRefused:       ["NR",   "local", 403, 12, "never", "upgrade-not-allowed"],
  methodRefused:        ["NR",   "local", 405, 12, "never", "method-not-allowed"],
  policyDenied:         ["UAEX", "local", 403,  7, "never", "policy-denied"],
  tokenRefused:         ["UAEX", "local", 401, 16, "never", "token-refused"],
  authorizerDenied:     ["UAEX", "local", 403,  7, "never", "authorizer-denied"],
  authorizerUnanswered: ["UAEX", "local", 403,  7, "never", "authorizer-unanswered"],
  rateLimited:          ["RL",   "local", 429,  8, "never", "rate-limited"],
  policyUnanswered:     ["UAEX", "local", 503, 14, "never", "policy-unanswered"],
  accessDenied:         ["UAEX", "local", 403,  7, "never", "access-denied"],
  notReady:             ["LR",   "local", 503, 14, "never", "proxy-not-ready"],
  overloaded:           ["OM",   "local", 503, 14, "never", "proxy-overloaded"],
  stopping:             ["LR",   "local", 503, 14, "never", "proxy-stopping"],
  // What an upstream did.
  connectFailure:       ["UF",   "upstream", 503, 14, "unsent", "upstream-connect-failure"],
  connectTimeout:       ["UF",   "upstream", 503, 14, "unsent", "upstream-connect-timeout"],
  upstreamWithoutHttp2: ["UPE",  "upstream", 502, 12, "never", "upstream-speaks-no-http2"],
  upstreamTls:          ["UF",   "upstream", 503, 14, "unsent", "upstream-tls-failure"],
  upstreamGone:         ["UC",   "upstream", 503, 14, "idempotent", "upstream-closed"],
  upstreamCutShort:     ["UC",   "upstream", 502, 14, "idempotent", "upstream-closed-in-head"],
  upstreamReset:        ["UR",   "upstream", 503, 14, "idempotent", "upstream-reset"],
  upstreamBadResponse:  ["UPE",  "upstream", 502, 13, "never", "upstream-bad-response"],
  upstreamProtocol:     ["UPE",  "upstream", 502, 13, "idempotent", "upstream-http2-error"],
  upstreamUnprocessed:  ["UR",   "upstream", 503, 14, "unsent", "upstream-refused-stream"],
  upstreamSilent:       ["UR",   "upstream", 503, 14, "idempotent", "upstream-silent"],
  upstreamTimeout:      ["UT",   "upstream", 504,  4, "idempotent", "upstream-timeout"],
  streamIdle:           ["SI",   "upstream", 504,  4, "never", "stream-idle-timeout"],
  durationLimit:        ["DT",   "local", 504,  4, "never", "duration-limit"],
} as const satisfies Readonly<Record<string, Row>>;

export type FailureName = keyof typeof rows;

export const Failures: Readonly<Record<FailureName, Failure>> = Object.fromEntries(
  Object.entries(rows).map(([name, [flag, origin, http, grpc, retry, reason]]) => [
    name,
    Object.freeze({ name, flag, origin, http, grpc, retry, reason }),
  ]),
) as Record<FailureName, Failure>;
