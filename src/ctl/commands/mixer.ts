/** `mesh ctl mixer check|report`: asks a mixer as a proxy would, as the original's mixc did. */
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  type CheckResponse,
  ReferencedAttributes_Condition as Condition,
  Mixer,
  type ReferencedAttributes,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { encodeAttributes } from "../../attribute/attribute-message.ts";
import { formatDuration } from "../../attribute/duration.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { durationOfMessage } from "../../attribute/well-known-time.ts";
import { wordAt } from "../../attribute/word-list.ts";
import { standardManifests } from "../../dialect/policy/standard-manifest.ts";
import { grpcStatusNames } from "../../telemetry/grpc-status-name.ts";
import { attributeFlags, pairsOf, readAttributes } from "../attribute-input.ts";
import { type CallLoad, makeCalls } from "../call-load.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { jsonText } from "../output/document.ts";
import { renderTable } from "../output/table.ts";

const DEFAULT_MIXER = "http://127.0.0.1:9091";
const DEADLINE_MS = 10_000;
const REPEAT_MAX = 100_000;
const WORKERS_MAX = 1_000;
/** As many entries as a mixer takes in one report. */
const BATCH_MAX = 10_000;
const RATE_MAX = 1_000_000;

export const mixerCommand = defineCtlCommand({
  args: {
    action: { type: "positional", required: true, description: "check or report" },
    ...attributeFlags,
    quotas: {
      type: "string",
      alias: "q",
      valueHint: "NAME=AMOUNT,…",
      description: "With check: quotas to take of, in part if not all is left",
    },
    repeat: {
      type: "string",
      alias: "r",
      valueHint: "N",
      description: "So often, by each worker one after the other (1)",
    },
    concurrency: {
      type: "string",
      alias: "c",
      valueHint: "N",
      description: "Workers that ask at the same time (1)",
    },
    rate: {
      type: "string",
      valueHint: "N",
      description: "Calls a second at most, of all workers together",
    },
    report_batch_size: {
      type: "string",
      valueHint: "N",
      description: "With report: so many of the repeated in one call (1)",
    },
    print_response: {
      type: "enum",
      options: ["true", "false"],
      description: "Each answer (true), or only how many there were of each kind",
    },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    mixer: {
      type: "string",
      alias: "m",
      valueHint: "HOST:PORT",
      description: `The mixer (env MESH_MIXER, else ${DEFAULT_MIXER.slice(7)})`,
    },
  },
  details:
    "check asks whether a request of these attributes may pass; report tells that there was one. " +
    "Exits with 1 where the answer is no, 3 if no mixer answers.",
  examples: [
    ["mesh ctl mixer check -s source.user=bob", "may bob?"],
    ["mesh ctl mixer check -a request.path=/,source.user=bob -q requestcount=1", "and how often?"],
    ["mesh ctl mixer report --attributes request.yaml", "count one request"],
    [
      "mesh ctl mixer check -s source.user=bob -r 1000 -c 8 --print_response=false",
      "how often of 8,000 times may bob?",
    ],
  ],
  async run(args, context) {
    const { action } = args;
    if (action !== "check" && action !== "report")
      throw usageError(`mixer ${JSON.stringify(action)}: check or report can be asked`);
    const url = mixerUrl(args.mixer ?? context.io.env.MESH_MIXER);
    const attributes = encodeAttributes(readAttributes(args, standardVocabulary()));
    const load: CallLoad = {
      times: amount("-r", args.repeat ?? "1", REPEAT_MAX),
      workers: amount("-c", args.concurrency ?? "1", WORKERS_MAX),
      rate: args.rate === undefined ? undefined : amount("--rate", args.rate, RATE_MAX),
      batch: action === "check" ? 1 : batchSize(args.report_batch_size),
    };
    const transport = createConnectTransport({
      ...{ baseUrl: url, httpVersion: "1.1", useBinaryFormat: true },
      defaultTimeoutMs: DEADLINE_MS,
    });
    const client = createClient(Mixer, transport);
    const { io } = context;
    if (action === "report") {
      const words = attributes.words;
      const entry = { ...attributes, words: [] };
      await makeCalls(load, io.clock, async (size) => {
        const entries = new Array<typeof entry>(size).fill(entry);
        await asked(url, client.report({ attributes: entries, defaultWords: words }));
      });
      const count = load.times * load.workers;
      io.stdout(count === 1 ? "reported\n" : `reported ${count} times\n`);
      return EXIT.ok;
    }
    const quotas = quotasOf(args.quotas);
    const tally = new Map<string, number>();
    let code: number = EXIT.ok;
    await makeCalls(load, io.clock, async () => {
      const answer = await check(client, { url, attributes, quotas });
      if (args.print_response !== "false") print(answer, args.output, context);
      const { code: status = 0 } = answer.precondition?.status ?? {};
      const name = grpcStatusNames[status] ?? String(status);
      tally.set(name, (tally.get(name) ?? 0) + 1);
      code = status === 0 ? EXIT.ok : EXIT.failed;
    });
    if (args.print_response === "false")
      for (const [name, count] of tally) io.stdout(`${name}: ${count}\n`);
    return code;
  },
});

interface Question {
  readonly url: string;
  readonly attributes: ReturnType<typeof encodeAttributes>;
  readonly quotas: Readonly<Record<string, { amount: bigint; bestEffort: boolean }>>;
}

async function check(
  client: Client<typeof Mixer>,
  { url, attributes, quotas }: Question,
): Promise<CheckResponse> {
  const request = { attributes, quotas, globalWordCount: globalWords.length };
  return await asked(url, client.check({ ...request, deduplicationId: crypto.randomUUID() }));
}

function facts({ precondition, quotas }: CheckResponse) {
  return {
    status: statusText(precondition?.status),
    validDuration: durationText(precondition?.validDuration),
    validUseCount: precondition?.validUseCount ?? 0,
    referenced: referencesOf(precondition?.referencedAttributes),
    ...(precondition?.routeDirective !== undefined && {
      directResponseCode: precondition.routeDirective.directResponseCode,
      directResponseBody: precondition.routeDirective.directResponseBody,
    }),
    quotas: Object.entries(quotas).map(([quota, result]) => ({
      quota,
      granted: Number(result.grantedAmount),
      validDuration: durationText(result.validDuration),
      status: statusText(result.status),
      referenced: referencesOf(result.referencedAttributes),
    })),
  };
}

function print(
  answer: CheckResponse,
  output: string | undefined,
  { io, paint }: CommandContext,
): void {
  const told = facts(answer);
  if (output === "json") return io.stdout(jsonText(told));
  const isOk = told.status === "OK";
  io.stdout(`status: ${isOk ? paint.green(told.status) : paint.red(told.status)}\n`);
  io.stdout(`valid: ${told.validDuration}, ${told.validUseCount} uses\n`);
  if (told.directResponseCode !== undefined && told.directResponseCode !== 0)
    io.stdout(`direct response: ${told.directResponseCode} ${told.directResponseBody}\n`);
  const changes = answer.precondition?.routeDirective?.requestHeaderOperations ?? [];
  for (const { name, value } of changes) io.stdout(`request header: ${name}: ${value}\n`);
  if (told.referenced.length > 0)
    io.stdout(
      renderTable(
        ["REFERENCED ATTRIBUTE", "CONDITION"],
        told.referenced.map((one) => [one.attribute, one.condition]),
        paint,
      ),
    );
  if (told.quotas.length > 0)
    io.stdout(
      renderTable(
        ["QUOTA", "GRANTED", "VALID", "STATUS"],
        told.quotas.map((one) => [one.quota, String(one.granted), one.validDuration, one.status]),
        paint,
      ),
    );
}

function referencesOf(message: ReferencedAttributes | undefined) {
  const lists = { words: message?.words ?? [], global: globalWords };
  return (message?.attributeMatches ?? []).map(({ name, condition, mapKey }) => {
    const key = mapKey === 0 ? "" : `::${wordAt(lists, mapKey) ?? mapKey}`;
    const words = { [Condition.EXACT]: "EXACT", [Condition.ABSENCE]: "ABSENCE" };
    return {
      attribute: `${wordAt(lists, name) ?? name}${key}`,
      condition: words[condition as keyof typeof words] ?? "REGEX",
    };
  });
}

function statusText(status: { code: number; message: string } | undefined): string {
  const name = grpcStatusNames[status?.code ?? 0] ?? String(status?.code);
  return status === undefined || status.message === "" ? name : `${name}: ${status.message}`;
}

function durationText(message: Parameters<typeof durationOfMessage>[0] | undefined): string {
  return formatDuration((message && durationOfMessage(message)) ?? 0);
}

function quotasOf(text: string | undefined): Question["quotas"] {
  return Object.fromEntries(
    pairsOf("quotas", text).map(([name, amount]) => {
      if (!/^\d{1,15}$/.test(amount)) throw usageError(`-q: ${amount} is no amount of ${name}`);
      return [name, quotaParams(BigInt(amount))] as const;
    }),
  );
}

function quotaParams(amount: bigint) {
  return {
    $typeName: "istio.mixer.v1.CheckRequest.QuotaParams" as const,
    amount,
    bestEffort: true,
  };
}

function batchSize(text: string | undefined): number {
  return amount("--report_batch_size", text ?? "1", BATCH_MAX);
}

function amount(flag: string, text: string, most: number): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= most) return count;
  throw usageError(`${flag}: 1 to ${most} are possible, not ${JSON.stringify(text)}`);
}

function standardVocabulary(): Vocabulary {
  return new Vocabulary(
    standardManifests.flatMap(({ spec }) =>
      spec.attributes.map(({ name, type }) => [name, type] as const),
    ),
  );
}

function mixerUrl(given = ""): string {
  const text = given === "" ? DEFAULT_MIXER : given;
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) throw usageError(`--mixer ${JSON.stringify(text)} is not HOST:PORT`);
  return url.replace(/\/+$/, "");
}

async function asked<T>(url: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    const { code, rawMessage } = ConnectError.from(thrown);
    const hint = "start one with `mesh mixer`, or name another with --mixer or MESH_MIXER";
    if (code === 14 && /connect|refused|reset/i.test(rawMessage))
      throw new CtlError(`no mixer answers at ${url}`, EXIT.unreachable, hint);
    throw new CtlError(`the mixer at ${url}: ${rawMessage}`);
  }
}
