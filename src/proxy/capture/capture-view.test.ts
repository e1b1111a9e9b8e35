/** The view of a snapshot follows its hosts, and nothing else. */
import { expect, test } from "bun:test";
import { parts, published } from "../../testing/snapshot-sample.ts";
import { captureView, emptyCaptureView } from "./capture-view.ts";

const search = (): readonly string[] => ["corp.example"];

function mesh(name: string, address: string) {
  const cluster = `outbound|80||${name}`;
  return {
    clusters: [{ name: cluster, service: name, discovery: "DISCOVERY_ENDPOINTS" }],
    endpointSets: [{ cluster, endpoints: [{ address, port: 9080 }] }],
    virtualHosts: [
      {
        name: `${name}:80`,
        domains: [name, `${name}:80`],
        routes: [{ forward: { clusters: [{ cluster, weight: 100 }] } }],
      },
    ],
  };
}

test("names and destinations are those of the snapshot; its search domains are asked once", () => {
  const snapshot = published(mesh("reviews", "127.0.0.1"));
  const view = captureView(snapshot, emptyCaptureView, search);
  const address = view.names.find("reviews.corp.example")?.ipv4[0]?.join(".") ?? "";
  expect(view.destinations.find({ address, port: 80 })?.virtualHost).toBe(
    snapshot.virtualHosts[0]!,
  );
});

test("other endpoints change nothing, other hosts everything but addresses already given", () => {
  const some = parts();
  const first = published(mesh("reviews", "127.0.0.1"), some);
  const view = captureView(first, emptyCaptureView, search);
  const second = published(mesh("reviews", "127.0.0.2"), { ...some, former: first });
  expect(captureView(second, view, search)).toBe(view);
  const third = published(
    { virtualHosts: [], clusters: mesh("reviews", "").clusters },
    { ...some, former: second },
  );
  expect(captureView(third, view, search).names.size).toBe(0);
  expect(captureView(third, view, search).destinations.knows("240.240.188.133")).toBe(false);
});
