/**
 * One rule of a policy as a function of the facts: one of `from`, one of `to`, and all of `when`.
 *
 * A connection that is passed on as it is has no request. What a rule says of requests is then
 * handled by what it would do (Istio's semantics): a rule of ALLOW that says anything of them never
 * matches; any other is read without it, and so says more.
 */
import type { Message } from "@bufbuild/protobuf";
import {
  type AccessRule,
  AuthorizationPolicy_Action,
  type Condition,
  type Operation,
  type Source,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { compileAddressRange } from "./address-range.ts";
import { type ConditionKey, parseConditionKey } from "./condition-key.ts";
import type { AuthorizationFacts } from "./facts.ts";
import { checkPathTemplate, compilePathTemplate, isPathTemplate } from "./path-template.ts";
import { type RuleKey, RuleKeys } from "./rule-key.ts";
import { allOf, anyOf, compileTexts, type TextTest } from "./text-pattern.ts";
import { withAliases } from "./trust-domain.ts";

export type FactsTest = (facts: AuthorizationFacts) => boolean;

export interface RuleContext {
  /** It is about connections that are passed on as they are. */
  readonly isTcp: boolean;
  readonly action: AuthorizationPolicy_Action;
  /** Of the mesh: its own first, then the aliases. */
  readonly trustDomains: readonly string[];
  /** `path`: "from[0].ip_blocks[1]" */
  readonly problem: (path: string, message: string) => void;
}

export interface RuleTest {
  readonly matches: FactsTest;
  /** What has to be so for it to match: by them rules are found. */
  readonly keys: readonly RuleKey[];
}

/** Undefined: it never matches. */
export function compileRule(rule: AccessRule, context: RuleContext): RuleTest | undefined {
  const compiler = new RuleCompiler(context);
  const test = compiler.compile(rule);
  return compiler.neverMatches ? undefined : test;
}

type Read = (facts: AuthorizationFacts) => string;

class RuleCompiler {
  neverMatches = false;
  readonly #context: RuleContext;
  readonly #keys = new RuleKeys();

  constructor(context: RuleContext) {
    this.#context = context;
  }

  compile(rule: AccessRule): RuleTest {
    const { from, to, when } = rule;
    const tests: FactsTest[] = [];
    // What a manager says that this proxy does not know may be what narrows it.
    const said: readonly Message[] = [rule, ...from, ...to, ...when];
    if (!this.#isWidened && said.some(({ $unknown = [] }) => $unknown.length > 0))
      this.neverMatches = true;
    if (from.length > 0) tests.push(anyOf(from.map((source, i) => this.#source(source, i))));
    if (to.length > 0) tests.push(anyOf(to.map((operation, i) => this.#operation(operation, i))));
    for (const [i, condition] of when.entries()) tests.push(...this.#condition(condition, i));
    const { trustDomains, isTcp } = this.#context;
    this.#keys.sources(from, trustDomains, isTcp);
    if (!isTcp) this.#keys.operations(to);
    return { matches: allOf(tests), keys: this.#keys.keys };
  }

  #source(source: Source, index: number): FactsTest {
    const { trustDomains } = this.#context;
    const at = `from[${index}]`;
    const tests: FactsTest[] = [];
    const add = (read: Read, is: readonly string[], not: readonly string[]): void =>
      addTexts(tests, read, compileIf(is), compileIf(not));
    add(
      ({ principal }) => principal,
      withAliases(source.principals, trustDomains),
      withAliases(source.notPrincipals, trustDomains),
    );
    add(({ namespace }) => namespace, source.namespaces, source.notNamespaces);
    add(({ serviceAccount }) => serviceAccount, source.serviceAccounts, source.notServiceAccounts);
    add(({ trustDomain }) => trustDomain, source.trustDomains, source.notTrustDomains);
    if (this.#reads(source.requestPrincipals, source.notRequestPrincipals))
      add(
        ({ token }) => token?.principal ?? "",
        source.requestPrincipals,
        source.notRequestPrincipals,
      );
    this.#addresses(tests, { at, name: "ip_blocks", of: ({ sourceIp }) => sourceIp }, [
      source.ipBlocks,
      source.notIpBlocks,
    ]);
    this.#addresses(tests, { at, name: "remote_ip_blocks", of: ({ remoteIp }) => remoteIp }, [
      source.remoteIpBlocks,
      source.notRemoteIpBlocks,
    ]);
    return allOf(tests);
  }

  #operation(operation: Operation, index: number): FactsTest {
    const at = `to[${index}]`;
    const tests: FactsTest[] = [];
    const { hosts, notHosts, methods, notMethods, paths, notPaths } = operation;
    this.#ports(tests, `${at}.ports`, [operation.ports, operation.notPorts]);
    if (this.#reads(hosts, notHosts)) {
      if (hosts.length > 0) tests.push(compileHosts(hosts));
      if (notHosts.length > 0) tests.push(negated(compileHosts(notHosts)));
    }
    if (this.#reads(methods, notMethods))
      addTexts(tests, ({ method }) => method, compileIf(methods), compileIf(notMethods));
    if (this.#reads(paths, notPaths))
      addTexts(
        tests,
        ({ path }) => path,
        this.#pathsIf(paths, `${at}.paths`),
        this.#pathsIf(notPaths, `${at}.not_paths`),
      );
    return allOf(tests);
  }

  #condition(condition: Condition, index: number): readonly FactsTest[] {
    const at = `when[${index}]`;
    const { values, notValues } = condition;
    const key = parseConditionKey(condition.key);
    if (key === undefined) {
      this.#context.problem(`${at}.key`, `"${condition.key}" is no key`);
      return [];
    }
    if (key.isOfRequest && !this.#reads(values, notValues)) return [];
    const tests: FactsTest[] = [];
    const add = (test: (values: readonly string[]) => FactsTest): void => {
      if (values.length > 0) tests.push(test(values));
      if (notValues.length > 0) tests.push(negated(test(notValues)));
    };
    switch (key.at) {
      case "address":
        this.#addresses(tests, { at, name: "values", of: key.read }, [values, notValues]);
        break;
      case "port":
        this.#ports(tests, `${at}.values`, [values, notValues]);
        break;
      case "principal":
        add((list) => textTest(key.read, withAliases(list, this.#context.trustDomains)));
        break;
      case "text":
        add((list) => textTest(key.read, list));
        break;
      default:
        add((list) => optionalTest(key, list));
    }
    this.#keys.condition(key, condition, this.#context.trustDomains);
    return tests;
  }

  /** What cannot be compared is left out, and more is matched; else nothing is. */
  get #isWidened(): boolean {
    return this.#context.action !== AuthorizationPolicy_Action.ALLOW;
  }

  /** False: nothing is asked by these. `lists`: what is said of requests. */
  #reads(...lists: readonly (readonly string[])[]): boolean {
    if (!this.#context.isTcp) return true;
    if (!this.#isWidened && lists.some((list) => list.length > 0)) this.neverMatches = true;
    return false;
  }

  #addresses(
    tests: FactsTest[],
    field: { at: string; name: string; of: (facts: AuthorizationFacts) => Uint8Array | undefined },
    [is, not]: readonly [readonly string[], readonly string[]],
  ): void {
    const compile = (blocks: readonly string[]): FactsTest => {
      const ranges = blocks.flatMap((block, i) => {
        const range = compileAddressRange(block);
        if (range !== undefined) return [range];
        const path = `${field.at}.${field.name}[${i}]`;
        this.#context.problem(path, `"${block}" is neither an address nor a range of them`);
        return [];
      });
      const test = anyOf(ranges);
      const read = field.of;
      return (facts) => test(read(facts));
    };
    if (is.length > 0) tests.push(compile(is));
    if (not.length > 0) tests.push(negated(compile(not)));
  }

  #ports(
    tests: FactsTest[],
    at: string,
    [is, not]: readonly [readonly string[], readonly string[]],
  ): void {
    const compile = (texts: readonly string[]): FactsTest => {
      const ports = new Set(texts.map(Number));
      for (const [i, text] of texts.entries())
        if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
          this.#context.problem(`${at}[${i}]`, `"${text}" is no port`);
      const [only] = ports;
      if (ports.size === 1) return (facts) => facts.destinationPort === only;
      return (facts) => ports.has(facts.destinationPort);
    };
    if (is.length > 0) tests.push(compile(is));
    if (not.length > 0) tests.push(negated(compile(not)));
  }

  #pathsIf(paths: readonly string[], at: string): TextTest | undefined {
    if (paths.length === 0) return undefined;
    const templates = paths.flatMap((path, i) => {
      if (!isPathTemplate(path)) return [];
      const fault = checkPathTemplate(path);
      if (fault !== undefined) this.#context.problem(`${at}[${i}]`, fault);
      return fault === undefined ? [compilePathTemplate(path)] : [];
    });
    const texts = paths.filter((path) => !isPathTemplate(path));
    return anyOf(texts.length === 0 ? templates : [compileTexts(texts), ...templates]);
  }
}

function compileIf(texts: readonly string[]): TextTest | undefined {
  return texts.length === 0 ? undefined : compileTexts(texts);
}

function addTexts(
  tests: FactsTest[],
  read: Read,
  is: TextTest | undefined,
  not: TextTest | undefined,
): void {
  if (is !== undefined) tests.push((facts) => is(read(facts)));
  if (not !== undefined) tests.push((facts) => !not(read(facts)));
}

function textTest(read: Read, texts: readonly string[]): FactsTest {
  const test = compileTexts(texts);
  return (facts) => test(read(facts));
}

function negated(test: FactsTest): FactsTest {
  return (facts) => !test(facts);
}

/** In any case; a host without port is meant at all of them. */
function compileHosts(hosts: readonly string[]): FactsTest {
  const test = compileTexts(hosts.map((host) => host.toLowerCase()));
  return (facts) => test(facts.authority) || test(facts.host);
}

/** What may be missing, or be there several times. "*": it is there, though it may be empty. */
function optionalTest(
  key: Extract<ConditionKey, { readonly at: "header" | "claim" | "unknown" }>,
  values: readonly string[],
): FactsTest {
  if (key.at === "unknown") return () => false;
  const test = compileTexts(values);
  const { read } = key;
  if (key.at === "claim")
    return (facts) => {
      const texts = read(facts);
      if (texts === undefined) return false;
      for (let i = 0; i < texts.length; i++) if (test(texts[i]!)) return true;
      return false;
    };
  const needsOnlyPresence = values.includes("*");
  return (facts) => {
    const text = key.read(facts);
    return text !== undefined && (needsOnlyPresence || test(text));
  };
}
