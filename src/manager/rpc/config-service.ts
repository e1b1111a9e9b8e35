/**
 * What operators do with configuration. A request is judged as a whole, with what is stored: every
 * problem is reported, and with one error nothing changes.
 */
import { Code, ConnectError, type ContextValues, type ServiceImpl } from "@connectrpc/connect";
import { policyObjectName, policyProblems } from "../../adapter/policy-problem.ts";
import {
  AppliedObject_Change,
  ApplyMode,
  type ApplyRequest,
  type ConfigService,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { callerOf } from "../../api/principal.ts";
import { problemToMessage } from "../../api/problem.ts";
import { isError, type Problem } from "../../core/problem.ts";
import { isPolicy } from "../../dialect/format-policy.ts";
import { readDocuments } from "../../dialect/read.ts";
import { validateSet } from "../../dialect/validate-set.ts";
import { type Config, configKey, writtenKind } from "../../model/config.ts";
import type { Manager } from "../manager.ts";
import { ruleWarnings } from "../rule-warning.ts";
import type { StoreChange, StoredConfig, StoreKey } from "../store/store.ts";
import { translationProblem } from "../translate/translatable.ts";
import { historyMessage, objectMessage, type Shown } from "./config-message.ts";

const DOCUMENTS_MAX = 10_000;
const HISTORY_MAX = 1_000;
const USES_TOLD = 10;

interface Reference {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What a change does to one object. */
interface Outcome {
  readonly key: StoreKey;
  readonly config: Config;
  readonly former: StoredConfig | undefined;
  readonly change: AppliedObject_Change;
}

export function configService(manager: Manager): ServiceImpl<typeof ConfigService> {
  const { configuration } = manager;
  return {
    async apply(request, { values }) {
      const { configs, problems } = readAll(manager, request);
      if (problems.some(isError)) return { problems: problems.map(problemToMessage) };
      checkMode(manager, request.mode, configs);
      const all = [...problems, ...problemsOfSet(manager, configs)];
      if (all.some(isError)) return { problems: all.map(problemToMessage) };
      const outcomes = configs.map((config) => outcomeOf(manager, config));
      const changes = outcomes.flatMap(changeOf);
      const revision = request.dryRun
        ? configuration.revision
        : await commit(manager, changes, authorOf(values, request));
      return {
        objects: outcomes.map((outcome) => appliedMessage(outcome, revision, shownTo(values))),
        problems: all.map(problemToMessage),
        revision: BigInt(revision),
      };
    },

    get(reference, { values }) {
      return objectMessage(existing(manager, reference), shownTo(values));
    },

    list({ kind, namespace }, { values }) {
      const shown = shownTo(values);
      const objects = configuration
        .list()
        .filter(({ config }) => kind === "" || config.kind === kind || writtenKind(config) === kind)
        .filter(({ config }) => namespace === "" || config.meta.namespace === namespace)
        .map((stored) => objectMessage(stored, shown));
      return { objects, revision: BigInt(configuration.revision) };
    },

    async delete(request, { values }) {
      const found = request.objects.map((reference) => existing(manager, reference));
      const outcomes = found.map((stored) => deletionOf(manager, stored));
      checkUnused(manager, found);
      const revision = request.dryRun
        ? configuration.revision
        : await commit(manager, outcomes.flatMap(changeOf), authorOf(values, request));
      return {
        objects: outcomes.map((outcome) => appliedMessage(outcome, revision, shownTo(values))),
        revision: BigInt(revision),
      };
    },

    async history(request, { values }) {
      const key = keyOf(request);
      const limit = Math.min(request.limit || 50, HISTORY_MAX);
      const entries = await configuration.store.history(key, limit);
      if (entries.length === 0) existing(manager, request);
      return { entries: entries.map((entry) => historyMessage(entry, shownTo(values))) };
    },

    async rollback(request, { values }) {
      const outcome = await rollbackOf(manager, keyOf(request), Number(request.revision));
      const problems = problemsOfSet(manager, outcome.change === DELETED ? [] : [outcome.config]);
      if (problems.some(isError)) return { problems: problems.map(problemToMessage) };
      const changes = request.dryRun ? [] : changeOf(outcome);
      const revision = await commit(manager, changes, authorOf(values, request));
      return {
        objects: [appliedMessage(outcome, revision, shownTo(values))],
        problems: problems.map(problemToMessage),
        revision: BigInt(revision),
      };
    },
  };
}

/** Who proved who he is did it, whatever he calls himself. */
function authorOf(values: ContextValues, request: { readonly author: string }): string {
  const { principal } = callerOf(values);
  return principal.kind === "person" ? principal.name : request.author;
}

function shownTo(values: ContextValues): Shown {
  const { principal } = callerOf(values);
  return principal.kind === "person" && principal.role === "viewer" ? "without secrets" : "whole";
}

const { CREATED, UPDATED, UNCHANGED, DELETED } = AppliedObject_Change;

function readAll(
  { options, configuration }: Manager,
  { documents, namespace }: ApplyRequest,
): { configs: Config[]; problems: Problem[] } {
  if (documents.length > DOCUMENTS_MAX)
    throw new ConnectError(`more than ${DOCUMENTS_MAX} documents`, Code.ResourceExhausted);
  const problems: Problem[] = [];
  const configs = new Map<StoreKey, Config>();
  for (const { file, text } of documents) {
    const read = readDocuments(text, {
      file,
      namespace: namespace || options.namespace,
      domain: options.domain,
    });
    problems.push(...read.problems);
    for (const config of read.configs) {
      const key = configKey(config);
      const problem = translationProblem(config);
      if (problem !== undefined) problems.push(problem);
      const first = configs.get(key);
      const owner = configuration.fileOf(key);
      if (first !== undefined) problems.push(nameProblem(config, `${key} is given twice`));
      else if (owner !== undefined)
        problems.push(nameProblem(config, `${key} is kept in ${owner}: change it there`));
      configs.set(key, config);
    }
  }
  return { configs: [...configs.values()], problems };
}

function nameProblem(config: Config, message: string): Problem {
  return { severity: "error", position: config.origin, path: "metadata.name", message };
}

function checkMode({ configuration }: Manager, mode: ApplyMode, configs: readonly Config[]): void {
  const keys = configs.map(configKey);
  const there = keys.filter((key) => configuration.get(key) !== undefined);
  if (mode === ApplyMode.CREATE && there.length > 0)
    throw new ConnectError(`already there: ${there.join(", ")}`, Code.AlreadyExists);
  const missing = keys.filter((key) => configuration.get(key) === undefined);
  if (mode === ApplyMode.REPLACE && missing.length > 0)
    throw new ConnectError(`not there: ${missing.join(", ")}`, Code.NotFound);
}

/** Of the objects that are being put, with everything that stays as it is. */
function problemsOfSet(manager: Manager, configs: readonly Config[]): readonly Problem[] {
  // Who registered a moment ago is known too.
  manager.flush();
  const mine = new Map(configs.map((config) => [configKey(config), config]));
  const rest = manager.configuration.configs().filter((config) => !mine.has(configKey(config)));
  const before = new Set(manager.setProblems().map(identityOf));
  // By identity: what came from standard input has one file name, whoever put it.
  const places = new Set(
    configs.flatMap(({ origin, fields }) => [origin, ...Object.values(fields ?? {})]),
  );
  const all = [...rest, ...configs];
  const after = validateSet(all, { hosts: manager.hosts }).filter(
    (problem) => !before.has(identityOf(problem)) || places.has(problem.position),
  );
  return [
    ...after,
    ...problemsOfPolicy(all, { mine: configs.filter(isPolicy), before }),
    ...ruleWarnings(configs, manager.registry, { all, domain: manager.options.domain }),
  ];
}

/** Of others what is new with them, by name: their lines are of another file, put long ago. */
function problemsOfPolicy(
  all: readonly Config[],
  { mine, before }: { readonly mine: readonly Config[]; readonly before: ReadonlySet<string> },
): readonly Problem[] {
  if (mine.length === 0) return [];
  const names = new Set(mine.map(policyObjectName));
  return policyProblems(all).flatMap((problem) => {
    const { object, about, message } = problem;
    if (names.has(object)) return [problem];
    if (about === "consequence" || before.has(identityOf(problem))) return [];
    return [{ ...problem, message: `${object}: ${message}` }];
  });
}

/** A rule without its handler would deny nothing any more, and say nothing of it. */
function checkUnused(manager: Manager, found: readonly StoredConfig[]): void {
  const deleted = new Set(found.map(({ config }) => config));
  if (![...deleted].some(isPolicy)) return;
  const before = new Set(manager.setProblems().map(identityOf));
  const rest = manager.configuration.configs().filter((config) => !deleted.has(config));
  const broken = policyProblems(rest).filter(
    (problem) => problem.about === "reference" && !before.has(identityOf(problem)),
  );
  if (broken.length === 0) return;
  const uses = broken.slice(0, USES_TOLD).map(({ object, message }) => `${object}: ${message}`);
  const more = broken.length > USES_TOLD ? `; and ${broken.length - USES_TOLD} more` : "";
  throw new ConnectError(`still in use: ${uses.join("; ")}${more}`, Code.FailedPrecondition);
}

function identityOf({ position, path, message }: Problem): string {
  return `${position.file}:${position.line}:${position.column}:${path}:${message}`;
}

function outcomeOf({ configuration }: Manager, config: Config): Outcome {
  const key = configKey(config);
  const former = configuration.get(key);
  const change =
    former === undefined ? CREATED : isSame(former.config, config) ? UNCHANGED : UPDATED;
  return { key, config, former, change };
}

function isSame(a: Config, b: Config): boolean {
  return (
    a.text === b.text &&
    a.apiVersion === b.apiVersion &&
    Bun.deepEquals(a.meta, b.meta) &&
    Bun.deepEquals(a.spec, b.spec)
  );
}

function deletionOf({ configuration }: Manager, former: StoredConfig): Outcome {
  const key = configKey(former.config);
  const owner = configuration.fileOf(key);
  if (owner !== undefined)
    throw new ConnectError(`${key} is kept in ${owner}: delete it there`, Code.FailedPrecondition);
  return { key, config: former.config, former, change: DELETED };
}

async function rollbackOf(
  { configuration }: Manager,
  key: StoreKey,
  revision: number,
): Promise<Outcome> {
  const owner = configuration.fileOf(key);
  if (owner !== undefined)
    throw new ConnectError(`${key} is kept in ${owner}: change it there`, Code.FailedPrecondition);
  const limit = revision === 0 ? 2 : Number.MAX_SAFE_INTEGER;
  const history = await configuration.store.history(key, limit);
  const entry = revision === 0 ? history[1] : history.find((past) => past.revision === revision);
  if (entry === undefined) {
    const what = revision === 0 ? "no earlier form" : `no revision ${revision}`;
    throw new ConnectError(`${key} has ${what}`, Code.NotFound);
  }
  const former = configuration.get(key);
  const { config } = entry;
  if (entry.change === "deleted")
    return { key, config, former, change: former === undefined ? UNCHANGED : DELETED };
  const change =
    former === undefined ? CREATED : isSame(former.config, config) ? UNCHANGED : UPDATED;
  return { key, config, former, change };
}

function changeOf({ key, config, former, change }: Outcome): StoreChange[] {
  const expected = former?.revision ?? 0;
  switch (change) {
    case CREATED:
    case UPDATED:
      return [{ put: config, expected }];
    case DELETED:
      return [{ delete: key, expected }];
    default:
      return [];
  }
}

async function commit(
  manager: Manager,
  changes: readonly StoreChange[],
  author: string,
): Promise<number> {
  const { configuration } = manager;
  if (changes.length === 0) return configuration.revision;
  const result = await configuration.store.commit(changes, author.slice(0, 200));
  if (!result.ok)
    throw new ConnectError(
      result.conflicts
        .map(({ key, expected, actual }) => `${key} is at revision ${actual}, not ${expected}`)
        .join("; "),
      Code.Aborted,
    );
  manager.flush();
  return result.revision;
}

function appliedMessage({ config, former, change }: Outcome, revision: number, shown: Shown) {
  const { meta } = config;
  const at = change === UNCHANGED ? (former?.revision ?? 0) : revision;
  return {
    kind: writtenKind(config),
    namespace: meta.namespace,
    name: meta.name,
    change,
    revision: BigInt(at),
    previousText: former === undefined ? "" : objectMessage(former, shown).text,
  };
}

function existing(manager: Manager, reference: Reference): StoredConfig {
  const key = keyOf(reference);
  const stored = manager.configuration.get(key);
  if (stored === undefined) throw new ConnectError(`${key} does not exist`, Code.NotFound);
  return stored;
}

function keyOf({ kind, namespace, name }: Reference): StoreKey {
  return `${kind}/${namespace || "default"}/${name}`;
}
