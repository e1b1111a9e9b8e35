/** Stored objects as the API shows them. */
import { create } from "@bufbuild/protobuf";
import {
  AppliedObject_Change,
  type ConfigObject,
  ConfigObjectSchema,
  type HistoryEntry as HistoryEntryMessage,
  HistoryEntrySchema,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { specJson } from "../../dialect/format.ts";
import { configKey, writtenKind } from "../../model/config.ts";
import type { HistoryEntry, StoredConfig } from "../store/store.ts";

export function objectMessage(stored: StoredConfig): ConfigObject {
  const { config, revision, createdMs, updatedMs, author } = stored;
  return create(ConfigObjectSchema, {
    kind: writtenKind(config),
    namespace: config.meta.namespace,
    name: config.meta.name,
    apiVersion: config.apiVersion,
    text: config.text,
    source: { ...config.origin, object: configKey(config) },
    revision: BigInt(revision),
    createdMs: BigInt(createdMs),
    updatedMs: BigInt(updatedMs),
    author,
    specJson: JSON.stringify(specJson(config)),
  });
}

const CHANGES = {
  created: AppliedObject_Change.CREATED,
  updated: AppliedObject_Change.UPDATED,
  deleted: AppliedObject_Change.DELETED,
} as const;

export function historyMessage(entry: HistoryEntry): HistoryEntryMessage {
  const { revision, timeMs, author, change, config } = entry;
  const stored = { config, revision, createdMs: timeMs, updatedMs: timeMs, author };
  return create(HistoryEntrySchema, {
    revision: BigInt(revision),
    timeMs: BigInt(timeMs),
    author,
    change: CHANGES[change],
    object: objectMessage(stored),
  });
}
