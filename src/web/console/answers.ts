/** The answers of Control that the console reads, in JSON as control.proto has them. 64-bit numbers are strings. */

export type Gateway = {
  readonly gateway: string;
  readonly version: string;
  readonly state: string;
  readonly generation: string;
  readonly sessions: number;
  readonly sessions_max: number;
  readonly uptime?: string;
  readonly bus: string;
  readonly maintenance: boolean;
  readonly not_ready: readonly string[];
  readonly in_flight: number;
  readonly messages: string;
  readonly failed: string;
  readonly refused: string;
  readonly closed: string;
  readonly outbox_bytes: string;
  readonly outbox_bytes_max: string;
  readonly memory_bytes: string;
  readonly event_loop_lag?: string;
  readonly called: boolean;
};

export type Gateways = { readonly gateways: readonly Gateway[] };

export type Series = {
  readonly kind: string;
  readonly name: string;
  readonly values: readonly string[];
};

export type History = {
  readonly start: string;
  readonly step: string;
  readonly series: readonly Series[];
  readonly silent_gateways: readonly string[];
};

export type Latency = {
  readonly bounds: readonly number[];
  readonly counts: readonly string[];
  readonly sum: number;
};

export type Address = {
  readonly address: string;
  readonly state: string;
  readonly why: string;
  readonly instance: string;
  readonly in_flight: number;
  readonly sessions: number;
  readonly healthy: boolean;
};

export type Backend = {
  readonly gateway: string;
  readonly name: string;
  readonly kind: string;
  readonly healthy: number;
  readonly in_flight: number;
  readonly breaker: string;
  readonly outcomes: Readonly<Record<string, string>>;
  readonly latency?: Latency;
  readonly last_failure?: {
    readonly at?: string;
    readonly reason: string;
    readonly route: string;
    readonly why: string;
  };
  readonly addresses: readonly Address[];
  readonly address_count: number;
};

export type Backends = {
  readonly backends: readonly Backend[];
  readonly silent_gateways: readonly string[];
  readonly more: boolean;
};

export type Route = {
  readonly match: string;
  readonly backends: readonly string[];
  readonly outcomes: Readonly<Record<string, string>>;
  readonly latency?: Latency;
};

export type Routes = {
  readonly routes: readonly Route[];
  readonly silent_gateways: readonly string[];
  readonly counted_for?: string;
};

export type Session = {
  readonly sid: string;
  readonly uid: string;
  readonly gateway: string;
  readonly remote_ip: string;
  readonly client_type: string;
  readonly client_version: string;
  readonly opened_at?: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly version: string;
  readonly groups: readonly string[];
  readonly transport: string;
  readonly dialect: string;
  readonly bound_at?: string;
  readonly stats?: Stats;
  readonly rest?: { readonly next_page_token: string; readonly silent_gateways: readonly string[] };
};

export type Stats = {
  readonly state: string;
  readonly messages: string;
  readonly in_flight: number;
  readonly outbox_bytes: string;
  readonly silent_for?: string;
  readonly round_trip?: string;
};

export type Group = {
  readonly name: string;
  readonly sessions: number;
  readonly gateways: number;
  readonly next_page_token: string;
  readonly silent_gateways: readonly string[];
};

export type LogLine = {
  readonly gateway: string;
  readonly seq: string;
  readonly time?: string;
  readonly level: string;
  readonly message: string;
  readonly fields: string;
  readonly silent_gateways: readonly string[];
};

export type Failure = {
  readonly ref: string;
  readonly at?: string;
  readonly what: string;
  readonly route: string;
  readonly rule: string;
  readonly backend: string;
  readonly address: string;
  readonly waited?: string;
  readonly took?: string;
  readonly retries: number;
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly cause: string;
  readonly by: string;
  readonly advice: string;
};

export type Why = { readonly failures: readonly Failure[] };

export type WatchEvent = {
  readonly kind: string;
  readonly direction: string;
  readonly at?: string;
  readonly sid: string;
  readonly route: string;
  readonly id: string;
  readonly bytes: number;
  readonly body?: { readonly bytes?: string; readonly json?: unknown; readonly text?: string };
  readonly rule: string;
  readonly backend: string;
  readonly address: string;
  readonly took?: string;
  readonly code: number;
  readonly reason: string;
  readonly note: string;
  readonly over_rate: number;
  readonly unread: number;
};
