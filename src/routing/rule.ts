/** One configured rule, and what a route resolves to. */

export type Rule = {
  /** `*` is one segment, `>` one or more, last. */
  readonly match: string;
  readonly backend: string;
  /** Several backends, among which a session's key chooses by these shares; null: `backend` gets everything. */
  readonly split: Split | null;
  /** The route that the backend sees, with {server} {handler} {method}; '': the client's route. */
  readonly rename: string;
  /** Milliseconds from the message to its answer. */
  readonly timeoutMs: number;
  /** keep: in order, per instance · serial: one in flight per session · none: they may overlap. */
  readonly order: 'keep' | 'serial' | 'none';
  /** Name of one instance, e.g. `{data.roomServer}`; '' or an empty value: any. */
  readonly to: string;
  /** A group that the session joins first, e.g. `room.{data.room}`; the answer is its snapshot. '' or an empty value: none. */
  readonly join: string;
  /** What to do if that instance is unreachable. */
  readonly otherwise: 'error' | 'any';
  /** Session data keys that the backend sees; `*`: all. */
  readonly forward: readonly string[];
  /** Only for sessions with a uid. */
  readonly bound: boolean;
  /** Only for sessions with one of these roles; empty: for all. */
  readonly roles: readonly string[];
  /**
   * auto: pomelo-protobuf from clients becomes JSON for the backend, and text is made readable both ways ·
   * raw: the bytes unchanged · protobuf: the client sends the method's own messages.
   */
  readonly codec: 'auto' | 'raw' | 'protobuf';
  /** Method of a gRPC backend in mode: method, with {server} {handler} {method}; '' elsewhere. */
  readonly method: string;
  /** Path of an http backend, with the same placeholders; '': made from the route. */
  readonly path: string;
  /** Route of the pushes with a streaming method's messages; '': the route itself. */
  readonly pushRoute: string;
  /** May be sent again within its timeout. */
  readonly idempotent: boolean;
  /** Messages of one session a second, and as many at once; 0: no limit of its own. */
  readonly rate: number;
};

/** A rule's backends and their shares, relative to each other. */
export type Split = {
  readonly shares: readonly { readonly backend: string; readonly weight: number }[];
  /** sid, uid, or data.<key>; if that is empty, the sid is used. */
  readonly by: string;
};

/** What a route resolves to. One object per rule and backend; `ordinal` is the rule's index in the table. */
export type Target = Rule & {
  readonly ordinal: number;
  readonly backendOrdinal: number;
  /** Compiled from `to`; null: any instance. */
  readonly instance: InstanceTemplate | null;
  /** Compiled from `join`; null: no group. */
  readonly group: InstanceTemplate | null;
  /** One for each of the rule's backends, with where its share ends; null: the rule has one backend. */
  readonly choices: readonly { readonly target: Target; readonly end: number }[] | null;
};

/** Literal text and session fields. */
export type InstanceTemplate = readonly (string | { readonly field: string })[];
