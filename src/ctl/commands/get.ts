/** `mesh ctl get` and `mesh ctl list`: what the store holds. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { ConfigObject } from "../../api/gen/mesh/v1/config_pb.ts";
import { call, type Manager, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags, outputFlags, watchFlags } from "../flag.ts";
import { namespaceOf, parseReferences, type Reference, wordOf } from "../kind-word.ts";
import { joinDocuments, jsonText, objectJson, parseSpec, sourceText } from "../output/document.ts";
import { summarize } from "../output/rule-summary.ts";
import { ageText, renderTable } from "../output/table.ts";
import { showWatched } from "../watch.ts";

const flags = {
  namespace: {
    type: "string",
    alias: "n",
    valueHint: "NAME",
    description: "Only this namespace (with a name: default, else all)",
  },
  ...outputFlags,
  ...watchFlags,
  ...managerFlags,
} as const;

export const getCommand = defineCtlCommand({
  args: flags,
  restName: "KIND NAME",
  details:
    "KIND is route-rule, destination-policy, egress-rule, service-entry, workload-entry,\n" +
    "mesh-config, rule, handler, instance, quota-spec and so on, in any usual spelling, or\n" +
    "`all`; handlers are also those of older kinds, as denier, and so are instances. One\n" +
    "object by name is printed as written.",
  examples: [
    ["mesh ctl get route-rules", "a table of every route rule"],
    ["mesh ctl get route-rule reviews-canary -o yaml", "one, as it was written"],
    ["mesh ctl get all -n default -o name", "KIND/NAMESPACE/NAME, one a line"],
    ["mesh ctl get route-rules -o json", "for scripts"],
    ["mesh ctl get rules -n istio-system", "what is checked and told for the whole mesh"],
  ],
  async run(args, context) {
    const words = context.rest.filter((word) => word !== "all");
    if (context.rest.length === 0)
      throw usageError("which kind?", "mesh ctl get route-rules, or mesh ctl get all");
    const references = parseReferences(words, args.namespace ?? "");
    const single = references.length > 0 && references.every(({ name }) => name !== "");
    return await show(references, { ...args, single }, context);
  },
});

export const listCommand = defineCtlCommand({
  args: flags,
  restName: "KIND",
  details: "Like `get`; without a KIND, every object of every kind.",
  examples: [
    ["mesh ctl list", "everything that the mesh obeys"],
    ["mesh ctl list route-rules -o wide", "with author and source file"],
  ],
  async run(args, context) {
    const words = context.rest.filter((word) => word !== "all");
    const references = parseReferences(words, args.namespace ?? "");
    return await show(references, { ...args, single: false }, context);
  },
});

interface ShowArgs {
  readonly manager?: string | undefined;
  readonly namespace?: string | undefined;
  readonly output?: string | undefined;
  readonly watch?: boolean | undefined;
  /** Every object was asked for by name. */
  readonly single: boolean;
}

async function show(
  references: readonly Reference[],
  args: ShowArgs,
  context: CommandContext,
): Promise<number> {
  const manager = managerAt(args, context.io);
  return await showWatched(args.watch ?? false, context, async () => {
    const objects = await fetchObjects(manager, references, args.namespace ?? "");
    return print(objects, args, context);
  });
}

async function fetchObjects(
  manager: Manager,
  references: readonly Reference[],
  namespace: string,
): Promise<readonly ConfigObject[]> {
  if (references.length === 0)
    return (await call(manager, manager.config.list({ namespace }))).objects;
  const found: ConfigObject[] = [];
  for (const reference of references) {
    if (reference.name === "") {
      const { objects } = await call(
        manager,
        manager.config.list({ kind: reference.kind, namespace: reference.namespace }),
      );
      found.push(...objects);
    } else {
      found.push(await fetchOne(manager, reference));
    }
  }
  return found;
}

export async function fetchOne(manager: Manager, reference: Reference): Promise<ConfigObject> {
  const { kind, name } = reference;
  const namespace = namespaceOf(kind, reference.namespace || "default");
  try {
    return await manager.config.get({ kind, namespace, name });
  } catch (error) {
    if (ConnectError.from(error).code !== Code.NotFound)
      return await call(manager, throwing(error));
    const listed = await call(manager, manager.config.list({ kind }));
    throw notFound({ kind, namespace, name }, listed.objects);
  }
}

async function throwing(error: unknown): Promise<never> {
  throw error;
}

function notFound(wanted: Reference, existing: readonly ConfigObject[]): CtlError {
  const { kind, namespace, name } = wanted;
  const elsewhere = existing.find((object) => object.name === name);
  const names = existing.filter((o) => o.namespace === namespace).map((o) => o.name);
  const hint =
    elsewhere !== undefined
      ? `there is one in namespace ${elsewhere.namespace}: add -n ${elsewhere.namespace}`
      : names.length > 0
        ? `there are ${names.slice(0, 10).join(", ")}`
        : "";
  return new CtlError(`there is no ${wordOf(kind)} ${name} in namespace ${namespace}`, 1, hint);
}

function print(
  objects: readonly ConfigObject[],
  args: ShowArgs,
  context: CommandContext,
): { readonly text: string; readonly code: number } {
  const { io, paint } = context;
  const output = args.output ?? (args.single ? "yaml" : "table");
  let text = "";
  if (output === "json") {
    const documents = objects.map(objectJson);
    text = jsonText(args.single && documents.length === 1 ? documents[0] : { items: documents });
  } else if (output === "yaml") {
    text = joinDocuments(objects.map((object) => object.text));
  } else if (output === "name") {
    text = objects.map((o) => `${o.kind}/${o.namespace}/${o.name}\n`).join("");
  } else if (output === "short") {
    text = objects.map((o) => `${o.name}\n`).join("");
  } else if (objects.length === 0) {
    // Istio 0.1's words; on stderr, so that a script sees an empty list.
    io.stderr("No resources found.\n");
  } else {
    const nowMs = io.clock.wallMs();
    const wide = output === "wide";
    const headers = ["NAME", "KIND", "NAMESPACE", "DESTINATION", "RULE", "REVISION", "AGE"];
    if (wide) headers.push("AUTHOR", "SOURCE");
    const rows = objects.map((object) => objectRow(object, wide, nowMs));
    text = renderTable(headers, rows, paint);
  }
  return { text, code: EXIT.ok };
}

function objectRow(object: ConfigObject, wide: boolean, nowMs: number): readonly string[] {
  const { destination, action } = summarize(object.kind, parseSpec(object.specJson));
  const row = [
    object.name,
    object.kind,
    object.namespace,
    destination || "-",
    wide || action.length <= 60 ? action : `${action.slice(0, 59)}…`,
    String(object.revision),
    ageText(Number(object.updatedMs), nowMs),
  ];
  if (wide) row.push(object.author || "-", sourceText(object.source) || "-");
  return row;
}
