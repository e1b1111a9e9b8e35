/** Every suite that reads vectors, and why the files that none reads wait. */

import { parserSuites } from "./http-parsers.ts";
import { pathSuites } from "./http-paths.ts";
import { requestSuites } from "./http-requests.ts";
import { responseSuites } from "./http-responses.ts";
import { traceSuites } from "./http-trace-context.ts";
import { frameSuites } from "./http2-frames.ts";
import { hpackSuites } from "./http2-hpack.ts";
import { listSuites } from "./http2-lists.ts";
import { authzSuites } from "./manager-authz.ts";
import { discoverySuites } from "./manager-discovery.ts";
import { ingressSuites } from "./manager-ingress.ts";
import { captureSuites } from "./manager-iptables.ts";
import { routeSuites } from "./manager-routes.ts";
import { tableSuites } from "./manager-tables.ts";
import { validationSuites } from "./manager-validation.ts";
import { adapterSuites } from "./mixer-adapters.ts";
import { outputSuites } from "./mixer-adapters-output.ts";
import { redisSuites } from "./mixer-adapters-redis.ts";
import { adapterTableSuites } from "./mixer-adapters-tables.ts";
import { cacheSuites } from "./mixer-caches.ts";
import { configDocumentSuites } from "./mixer-config-documents.ts";
import { configSnapshotSuites } from "./mixer-config-snapshot.ts";
import { dispatchSuites } from "./mixer-dispatch.ts";
import { expressionSuites } from "./mixer-expressions.ts";
import { functionSuites } from "./mixer-functions.ts";
import { list01Suites } from "./mixer-lists-01.ts";
import { expressionParserSuites } from "./mixer-parser.ts";
import { quotaSpecSuites } from "./mixer-quota-spec.ts";
import { replaySuites } from "./mixer-replay.ts";
import { routingSuites } from "./mixer-routing.ts";
import { wireSuites } from "./mixer-wire.ts";
import { smugglingSuites } from "./smuggling.ts";
import type { Suite } from "./suite.ts";
import { wireResponseSuites } from "./wire-responses.ts";

export const suites: readonly Suite[] = [
  ...authzSuites,
  ...requestSuites,
  ...parserSuites,
  ...pathSuites,
  ...responseSuites,
  ...traceSuites,
  ...smugglingSuites,
  ...wireResponseSuites,
  ...hpackSuites,
  ...listSuites,
  ...frameSuites,
  ...validationSuites,
  ...routeSuites,
  ...discoverySuites,
  ...ingressSuites,
  ...tableSuites,
  ...captureSuites,
  ...adapterSuites,
  ...redisSuites,
  ...outputSuites,
  ...adapterTableSuites,
  ...expressionSuites,
  ...wireSuites,
  ...replaySuites,
  ...cacheSuites,
  ...expressionParserSuites,
  ...functionSuites,
  ...dispatchSuites,
  ...routingSuites,
  ...quotaSpecSuites,
  ...configDocumentSuites,
  ...configSnapshotSuites,
  ...list01Suites,
];

/** First matching prefix: what the file is about, where nothing here reads it yet. */
export const unread: readonly (readonly [prefix: string, why: string])[] = [
  ["http/rfc-requirements", "a list of requirements, not of cases"],
  ["mixer/", "the mixer is not there yet"],
  ["manager/analyze", "VirtualService and its analysers are not there yet"],
  ["manager/gatewayapi", "the Gateway API is not there yet"],
  ["manager/inject", "injection into Kubernetes is not there yet"],
  ["manager/istioctl", "raw data of another command line, not cases"],
];
