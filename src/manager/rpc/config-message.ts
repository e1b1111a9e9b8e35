/** Stored objects as the API shows them. */
import { create } from "@bufbuild/protobuf";
import {
  AppliedObject_Change,
  type ConfigObject,
  ConfigObjectSchema,
  type HistoryEntry as HistoryEntryMessage,
  HistoryEntrySchema,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { redactDocument, redactParameters, redactText } from "../../core/redact.ts";
import { specJson } from "../../dialect/format.ts";
import { isPolicy } from "../../dialect/format-policy.ts";
import { type Config, configKey, writtenKind } from "../../model/config.ts";
import type { HistoryEntry, StoredConfig } from "../store/store.ts";

/** Pages and readers are shown no secrets; who may write them may read them. */
export type Shown = "whole" | "without secrets";

export function objectMessage(stored: StoredConfig, shown: Shown = "whole"): ConfigObject {
  const { config, revision, createdMs, updatedMs, author } = stored;
  const spec = specJson(config);
  const isWhole = shown === "whole";
  return create(ConfigObjectSchema, {
    kind: writtenKind(config),
    namespace: config.meta.namespace,
    name: config.meta.name,
    apiVersion: config.apiVersion,
    text: isWhole ? config.text : safeText(config, spec),
    source: { ...config.origin, object: configKey(config) },
    revision: BigInt(revision),
    createdMs: BigInt(createdMs),
    updatedMs: BigInt(updatedMs),
    author,
    specJson: JSON.stringify(isWhole ? spec : safeSpec(config, spec)),
  });
}

/** Of policy also what its handlers are called with. */
function safeSpec(config: Config, spec: unknown): unknown {
  if (isPolicy(config)) return redactParameters(spec);
  return JSON.parse(redactText(JSON.stringify(spec)));
}

function safeText(config: Config, spec: unknown): string {
  return isPolicy(config) ? redactDocument(config.text, spec) : redactText(config.text);
}

const CHANGES = {
  created: AppliedObject_Change.CREATED,
  updated: AppliedObject_Change.UPDATED,
  deleted: AppliedObject_Change.DELETED,
} as const;

export function historyMessage(entry: HistoryEntry, shown: Shown = "whole"): HistoryEntryMessage {
  const { revision, timeMs, author, change, config } = entry;
  const stored = { config, revision, createdMs: timeMs, updatedMs: timeMs, author };
  return create(HistoryEntrySchema, {
    revision: BigInt(revision),
    timeMs: BigInt(timeMs),
    author,
    change: CHANGES[change],
    object: objectMessage(stored, shown),
  });
}
