/** One configured rule, and what a route resolves to. */

export type Rule = {
  /** `*` is one segment, `>` one or more, last. */
  readonly match: string;
  readonly backend: string;
  /** More than one backend: a session goes where its key leads, in these shares; null: `backend` takes all. */
  readonly split: Split | null;
  /** The route that the backend sees, with {server} {handler} {method}; '': the client's own. */
  readonly rename: string;
  /** Milliseconds from the message to its answer. */
  readonly timeoutMs: number;
  /** keep: as sent, per instance · serial: one in flight per session · none. */
  readonly order: 'keep' | 'serial' | 'none';
  /** One instance, e.g. `{data.roomServer}`; '' or an empty value: any. */
  readonly to: string;
  /** When that instance is away. */
  readonly otherwise: 'error' | 'any';
  /** Session data keys that the backend sees; `*`: all. */
  readonly forward: readonly string[];
  /** Only for sessions with a uid. */
  readonly bound: boolean;
  /**
   * auto: what clients say in pomelo-protobuf is JSON to the backend, and text is made readable both ways ·
   * raw: the bytes as they are · protobuf: the client speaks the method's own messages.
   */
  readonly codec: 'auto' | 'raw' | 'protobuf';
  /** Method of a gRPC backend in mode: method, with {server} {handler} {method}; '' elsewhere. */
  readonly method: string;
  /** Path of an http backend, likewise; '': made of the route. */
  readonly path: string;
  /** Where a streaming method's messages are pushed; '': the route itself. */
  readonly pushRoute: string;
  /** May be sent again within its timeout. */
  readonly idempotent: boolean;
};

/** A rule's backends and their shares, relative to each other. */
export type Split = {
  readonly shares: readonly { readonly backend: string; readonly weight: number }[];
  /** sid, uid, or data.<key>; where it is empty the sid counts. */
  readonly by: string;
};

/** What a route resolves to. One object per rule and backend; `ordinal` is the rule's place in the table. */
export type Target = Rule & {
  readonly ordinal: number;
  readonly backendOrdinal: number;
  /** Compiled from `to`; null: any instance. */
  readonly instance: InstanceTemplate | null;
  /** One for each of the rule's backends, with where its share ends; null: there is one. */
  readonly choices: readonly { readonly target: Target; readonly end: number }[] | null;
};

/** Text and session fields in turn. */
export type InstanceTemplate = readonly (string | { readonly field: string })[];
