/** Raw requests from smuggling tool kits and gunicorn's tests, read by the codec. */
import { judgeRequests } from "./http-judgement.ts";
import { fromBase64, type Label, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface RequestCase extends Label {
  readonly name: string;
  readonly bytes_b64: string;
}

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: RequestCase[] }>(path).cases) {
    verdicts.judge(one.name, judgeRequests(fromBase64(one.bytes_b64), one));
  }
  return verdicts.result();
}

export const requestSuites: readonly Suite[] = [
  { file: "http/smuggling.json", title: "codec", run },
  { file: "http/gunicorn.json", run },
];
