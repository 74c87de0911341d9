/** One configured rule, and what a route resolves to. */

export type Rule = {
  /** `*` is one segment, `>` one or more, last. */
  readonly match: string;
  readonly backend: string;
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

/** What a route resolves to. One object per rule; `ordinal` is the rule's place in the table. */
export type Target = Rule & {
  readonly ordinal: number;
  readonly backendOrdinal: number;
  /** Compiled from `to`; null: any instance. */
  readonly instance: InstanceTemplate | null;
};

/** Text and session fields in turn. */
export type InstanceTemplate = readonly (string | { readonly field: string })[];
