/** What an API calls its operations, and where its keys are. Spec table: mixer 2.7. */
/** Constant attributes, as an HTTPAPISpec declares them. */
export type ConstantAttributes = Readonly<Record<string, ConstantAttribute>>;

export type ConstantAttribute =
  | { readonly type: "STRING"; readonly value: string }
  | { readonly type: "INT64"; readonly value: number }
  | { readonly type: "DOUBLE"; readonly value: number }
  | { readonly type: "BOOL"; readonly value: boolean };

export interface HttpApiSpec {
  readonly attributes: ConstantAttributes;
  readonly patterns: readonly {
    readonly method: string;
    readonly path:
      | { readonly by: "template"; readonly template: string }
      | { readonly by: "regex"; readonly pattern: string };
    readonly attributes: ConstantAttributes;
  }[];
  /** Where an API key may be; the first that is there counts. */
  readonly apiKeys: readonly {
    readonly in: "query" | "header" | "cookie";
    readonly name: string;
  }[];
}
