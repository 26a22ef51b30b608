/** What the gateway's API says of the cluster (`GET /v1/openapi.json` describes it), and what it can be asked to do. */

interface Latency {
  readonly p50_us: number;
  readonly p99_us: number;
  readonly p999_us: number;
  readonly count: number;
  readonly window_ms: number;
}

export interface HotRoom {
  readonly room: string;
  readonly members: number;
  readonly messages_per_second: number;
  readonly deliveries_per_second: number;
}

/** What a node says of itself; totals are since it started. */
export interface NodeStatus {
  readonly name: string;
  readonly version: string;
  readonly started_at_ms: number;
  readonly uptime_ms: number;
  readonly connections: number;
  readonly users: number;
  readonly rooms: number;
  readonly members: number;
  readonly draining: boolean;
  readonly draining_since_ms?: number;
  readonly bus: {
    readonly up: boolean;
    readonly detail: string;
    readonly down_since_ms?: number;
    readonly holes_filled: number;
    readonly resets: number;
    readonly reconnects: number;
  };
  readonly appends: number;
  readonly deliveries: number;
  readonly append_latency?: Latency;
  readonly slow_readers: number;
  readonly slow_closes: number;
  readonly rss_bytes?: number;
  readonly hottest: readonly HotRoom[];
}

/** In its first second a node says nothing but that it is there. */
export type ListedNode = { readonly id: string; readonly silent_ms: number } & (NodeStatus | Partial<Record<keyof NodeStatus, undefined>>);

export interface ClusterAnswer {
  /** The id of the node that answers. */
  readonly answered_by: string;
  /** Whether these are all: without Redis a node knows of nobody but itself. */
  readonly complete: boolean;
  readonly nodes: readonly ListedNode[];
}

/** An answer that is a no. `status` is HTTP's; `detail` is fit to be shown. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.name = "Refusal";
    this.status = status;
  }
}

/** Whether a node has said anything of itself yet. */
export function hasStatus(node: ListedNode): node is { readonly id: string; readonly silent_ms: number } & NodeStatus {
  return node.name !== undefined;
}

/** Calls to the gateway that the page came from, with a key or, in development mode, without one. */
export class Api {
  readonly #key: string | null;

  constructor(key: string | null) {
    this.#key = key;
  }

  async nodes(signal: AbortSignal): Promise<ClusterAnswer> {
    return (await (await this.#call("GET", "/v1/nodes", undefined, signal)).json()) as ClusterAnswer;
  }

  async drain(node: string): Promise<void> {
    await this.#call("POST", `/v1/nodes/${encodeURIComponent(node)}/drain`);
  }

  async disconnect(user: string, reason: string): Promise<void> {
    await this.#call("POST", `/v1/users/${encodeURIComponent(user)}/disconnect`, { reason });
  }

  /** Without a duration until it is lifted. */
  async ban(user: string, reason: string, durationMs: number | null): Promise<void> {
    await this.#call("PUT", `/v1/users/${encodeURIComponent(user)}/ban`, durationMs === null ? { reason } : { reason, duration_ms: durationMs });
  }

  async unban(user: string): Promise<void> {
    await this.#call("DELETE", `/v1/users/${encodeURIComponent(user)}/ban`);
  }

  async revoke(user: string): Promise<void> {
    await this.#call("POST", `/v1/users/${encodeURIComponent(user)}/revoke`, {});
  }

  async #call(method: string, path: string, body?: object, signal: AbortSignal = AbortSignal.timeout(10_000)): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (this.#key !== null) headers.authorization = `Bearer ${this.#key}`;
    if (body) headers["content-type"] = "application/json";
    // The key goes to this page's own origin and no further, and no cookie of a user speaks in its place.
    const limits = { credentials: "omit", redirect: "error", cache: "no-store", signal } as const;
    const response = await fetch(path, { method, headers, ...limits, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!response.ok) throw new Refusal(response.status, await detail(response));
    return response;
  }
}

async function detail(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { detail?: unknown };
    if (typeof problem.detail === "string") return problem.detail;
  } catch {
    // A proxy's own error has no problem in it.
  }
  return `the answer was ${response.status} ${response.statusText}`.trim();
}
