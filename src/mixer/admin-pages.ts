/**
 * The admin port of a mixer, like a proxy's: what is in force, what its rules did, and how much its
 * log tells. For the operator on this host.
 */
import { toJson } from "@bufbuild/protobuf";
import { type AdminPage, answerPage, json, text, wantsJson } from "../api/admin-page.ts";
import type { DiscoveryStatus } from "../api/discovery/discovery.ts";
import type { FetchHandler } from "../api/fetch-handler.ts";
import { ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { loggingPages } from "../api/logging-page.ts";
import { redactConfig } from "../api/redact-config.ts";
import type { Log } from "../core/log.ts";
import { policyText } from "../policy/policy-view.ts";
import type { Mixer } from "./mixer.ts";
import { monitorFetch } from "./monitor.ts";

export interface MixerView {
  readonly id: string;
  readonly mixer: Mixer;
  readonly log: Log;
  /** Undefined: it has not begun. */
  discovery(): DiscoveryStatus | undefined;
}

const pages: readonly AdminPage<MixerView>[] = [
  {
    path: "/config_dump",
    method: "GET",
    about: "the configuration in force, as JSON",
    answer: (view) => {
      const { config } = view.mixer;
      return json({
        node: { id: view.id },
        version: config?.version ?? "",
        manager: view.discovery() ?? null,
        config: config === undefined ? {} : toJson(ProxyConfigSchema, redactConfig(config)),
        policy: view.mixer.policyView(),
      });
    },
  },
  {
    path: "/policy",
    method: "GET",
    about: "rules of policy: how often they matched, denied, failed here (?format=json)",
    answer: ({ mixer }, query) => {
      const found = mixer.policyView();
      // Proxies count what they ask a mixer as well: figures of both are not added up.
      return wantsJson(query) ? json({ ...found, by: "mixer" }) : text(policyText(found));
    },
  },
  ...["/metrics", "/ready", "/healthz", "/version"].map(
    (path): AdminPage<MixerView> => ({
      path,
      method: "GET",
      about: "as on the port of --metrics",
      answer: ({ mixer }) => monitorFetch(mixer)(new Request(`http://localhost${path}`)),
    }),
  ),
  ...loggingPages,
];

export function adminFetch(view: MixerView): FetchHandler {
  return (request) => answerPage(request, view, { title: "mesh mixer administration", pages });
}
