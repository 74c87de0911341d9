/** What is written down of what happens: connections, requests, pushes, and the ways between backends and gateways. */

/** What a backend does with a request, decided by the client before it sends it. */
export type Plan = {
  /** Binds the session; '' unbinds it. */
  readonly bind?: string;
  readonly set?: Readonly<Record<string, unknown>>;
  readonly join?: readonly string[];
  readonly leave?: readonly string[];
  /** Sent before the reply, over the same connection. */
  readonly before?: readonly PushPlan[];
  /** In the reply itself, where the transport has it; else like `before`. */
  readonly inReply?: readonly PushPlan[];
  /** Sent after the reply. */
  readonly after?: readonly PushPlan[];
  /** The reply closes the session. */
  readonly closes?: boolean;
  /** Answered with an error of the backend's own: 555 PLANNED. */
  readonly fails?: boolean;
  /** How long the backend takes, in milliseconds. */
  readonly delayMs?: number;
};

export type PushPlan = {
  readonly to: {
    readonly kind: 'session' | 'all' | 'user' | 'group';
    /** Of the user or the group; '' for the others. */
    readonly name: string;
  };
  /** The backend asks what became of it. */
  readonly counted: boolean;
  readonly delivery: 'must' | 'droppable' | 'latest';
};

/** One connection of a client: what it knows of itself. */
export type Client = {
  /** `c17/3`: the third connection of client 17. */
  readonly name: string;
  /** Learnt from the first backend that its messages reach; '' before that. */
  sid: string;
  /** By the last answer; null: a bind is in flight, or its answer was lost. */
  uid: string | null;
  /** How often it asked to be bound, or unbound. */
  binds: number;
  /** Ever bound, or asked to be. */
  readonly uids: Set<string>;
  readonly groups: Set<string>;
  /** What it came back with, by its token; null: it did not come back. */
  resumed: { readonly uid: string; readonly groups: ReadonlySet<string> } | null;
  /** A backend has bound it, or unbound it, of its own will. */
  isMeddled: boolean;
  /** A backend was asked to close it, or does so of its own will. */
  isToldToGo: boolean;
  /** The other side has not ended it, nor this one. */
  isOpen: boolean;
};

export function newClient(name: string): Client {
  return {
    name,
    sid: '',
    uid: '',
    binds: 0,
    uids: new Set(),
    groups: new Set(),
    resumed: null,
    isMeddled: false,
    isToldToGo: false,
    isOpen: true,
  };
}

export type Ask = {
  readonly n: number;
  readonly client: Client;
  /** Counts the messages of this connection. */
  readonly k: number;
  readonly route: string;
  readonly body: string;
  readonly plan: Plan;
  readonly sentMs: number;
  readonly isNotify: boolean;
  /** Which uid a backend must see, unless it is changed meanwhile; null: not known. */
  readonly uid: string | null;
  /** Changes that were asked for before it. */
  readonly binds: number;
  /** Backend processes that got it, once for each time. */
  readonly reached: string[];
  /** By which it may be answered. */
  readonly stamps: string[];
  /** A backend has sent something that ends it, if only an error of the gateway's. */
  isSettled: boolean;
  /** It was answered, or nobody waits for an answer. */
  isDone: boolean;
};

/** What a backend is told of a request, by whichever transport. */
export type Facts = {
  readonly n: number;
  readonly sid: string;
  readonly uid: string;
  readonly gateway: string;
  readonly route: string;
  readonly body: string;
  readonly seq: number;
  /** Milliseconds; 0: it was not told. */
  readonly timeoutMs: number;
  readonly wantsAnswer: boolean;
};

/** A way between a backend process and one gateway, or the bus, from its beginning to its end. */
export type Way = {
  /** `rooms#2/link/g1-x`: of one process and one connection. */
  readonly name: string;
  /** The backend's process. */
  readonly process: string;
  /** It has ended, and its process knows that. */
  isOver?: boolean;
  /** What is sent in an order arrives in it: requests by one way reach the backend as the client sent them. */
  readonly keepsOrder: boolean;
  /** The backend is told of the ends of sessions that it got something of. */
  readonly tellsEnds: boolean;
  /** Counts what is sent on it. */
  order: number;
};

export type Pushed = {
  readonly p: number;
  readonly way: Way;
  readonly plan: PushPlan;
  /** Of the session that `session` means. */
  readonly sid: string;
  readonly order: number;
  readonly sentMs: number;
  readonly body: string;
  /** Connections that got it. */
  readonly received: Set<string>;
  /** What the backend was answered; null: nothing yet, or it did not ask. */
  outcome: Outcome | null;
};

export type Outcome = {
  readonly delivered: number;
  readonly dropped: number;
  readonly refused: number;
  /** Gateways that did not answer, or an answer that was lost: the count may be too small. */
  readonly isPartial: boolean;
};

export type RouteRules = {
  /** Milliseconds. */
  readonly timeoutMs: number;
  /** May be sent again. */
  readonly idempotent: boolean;
  /** Which messages of one session reach a backend process in their order. On NATS nothing says that a notify is there. */
  readonly ordered: 'all' | 'requests' | 'none';
  /** Its data chooses the instance: a session may be at several at once. */
  readonly isSpread?: boolean;
};

/** Each of these rules was looked at so often: not yet. */
export function zeros<R extends string>(rules: readonly R[]): Record<R, number> {
  return Object.fromEntries(rules.map((rule) => [rule, 0])) as Record<R, number>;
}

/** Whether the push is for this connection. */
export function isMeant(client: Client, { plan: { to }, sid }: Pushed): boolean {
  if (to.kind === 'all') return true;
  if (to.kind === 'session') return client.sid === sid;
  return (to.kind === 'user' ? client.uids : client.groups).has(to.name);
}
