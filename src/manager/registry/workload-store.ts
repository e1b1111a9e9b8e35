/**
 * Registrations on disk, so that a manager that comes back knows who is there before the first
 * proxy has called. They can all be told again, so a power cut may take the last ones.
 */
import type { Database } from "bun:sqlite";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { type Workload, WorkloadSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Service } from "../../model/service.ts";
import { openDatabase } from "../store/database.ts";

export interface Registration {
  readonly leaseId: string;
  readonly workload: Workload;
  /** Id of the join token by which it came; "": none. */
  readonly origin: string;
}

/** A service that workloads stood for, and when the last of them went. */
export interface KnownService {
  readonly service: Service;
  readonly seenMs: number;
}

export interface WorkloadStore {
  registrations(): readonly Registration[];
  services(): readonly KnownService[];
  save(registration: Registration): void;
  saveService(known: KnownService): void;
  remove(leaseId: string): void;
  removeService(host: string): void;
  close(): void;
}

/** For a manager that keeps nothing. */
export const forgetfulWorkloadStore: WorkloadStore = {
  registrations: () => [],
  services: () => [],
  save: () => {},
  saveService: () => {},
  remove: () => {},
  removeService: () => {},
  close: () => {},
};

const MIGRATIONS = [
  `CREATE TABLE workload (lease TEXT PRIMARY KEY, workload TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE service (
     host TEXT PRIMARY KEY, service TEXT NOT NULL, seen_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  "ALTER TABLE workload ADD COLUMN origin TEXT NOT NULL DEFAULT '';",
];

export class SqliteWorkloadStore implements WorkloadStore {
  readonly #database: Database;

  constructor(path: string) {
    this.#database = openDatabase(path, MIGRATIONS, "NORMAL");
  }

  registrations(): readonly Registration[] {
    return this.#database
      .query<{ lease: string; workload: string; origin: string }, []>(
        "SELECT * FROM workload ORDER BY lease",
      )
      .all()
      .map(({ lease, workload, origin }) => ({
        ...{ leaseId: lease, origin },
        workload: fromJsonString(WorkloadSchema, workload, { ignoreUnknownFields: true }),
      }));
  }

  services(): readonly KnownService[] {
    return this.#database
      .query<{ service: string; seen_ms: number }, []>("SELECT * FROM service ORDER BY host")
      .all()
      .map(({ service, seen_ms }) => ({
        // Written by this module only, from a Service.
        service: JSON.parse(service) as Service,
        seenMs: seen_ms,
      }));
  }

  save({ leaseId, workload, origin }: Registration): void {
    this.#database
      .query("INSERT OR REPLACE INTO workload VALUES (?, ?, ?)")
      .run(leaseId, toJsonString(WorkloadSchema, workload), origin);
  }

  saveService({ service, seenMs }: KnownService): void {
    this.#database
      .query("INSERT OR REPLACE INTO service VALUES (?, ?, ?)")
      .run(service.host, JSON.stringify(service), Math.round(seenMs));
  }

  remove(leaseId: string): void {
    this.#database.query("DELETE FROM workload WHERE lease = ?").run(leaseId);
  }

  removeService(host: string): void {
    this.#database.query("DELETE FROM service WHERE host = ?").run(host);
  }

  close(): void {
    this.#database.close();
  }
}
