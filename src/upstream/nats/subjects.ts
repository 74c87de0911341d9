/** Every NATS subject that the gateway uses is built and taken apart here, and nowhere else. Pure. */
import { createHash } from 'node:crypto';

/** nats-server closes a connection whose control line is too long; this is well below. */
export const SUBJECT_BYTES_MAX = 512;
/** A request to it lists the streams; part of JetStream's API. */
export const STREAM_NAMES = '$JS.API.STREAM.NAMES';

/** A request to it says how a stream is configured, and where it ends. */
export function streamInfo(stream: string): string {
  return `$JS.API.STREAM.INFO.${stream}`;
}

/** A request to it reads messages of a stream, from any server that has them. */
export function directGet(stream: string): string {
  return `$JS.API.DIRECT.GET.${stream}`;
}

/** The verb of a push that a stream has kept, and sent on. No backend may publish it. */
export const KEPT_VERB = 'kept';
const TOKEN_PLAIN = /^[A-Za-z0-9_-]{1,64}$/;
const TOKEN_RAW_BYTES_MAX = 96;
/** What can be one token of a subject as it stands. `=` begins the tokens of encoded names. */
const ONE_TOKEN = /^[^=.*>\s\p{Cc}\p{Cs}][^.*>\s\p{Cc}\p{Cs}]*$/u;

/**
 * A name as one token of a subject: itself where that is safe, else `=` and its base64url, and beyond 96 bytes
 * `=h` and the base64url of its SHA-256. Two names never share a token, short of a collision of SHA-256.
 */
export function encodeToken(name: string): string {
  if (TOKEN_PLAIN.test(name)) return name;
  const bytes = Buffer.from(name);
  if (bytes.length <= TOKEN_RAW_BYTES_MAX) return `=${bytes.toString('base64url')}`;
  return `=h${createHash('sha256').update(bytes).digest('base64url')}`;
}

export const NEAR_MISS_QUEUE = 'pith';
export const CONTROL_QUEUE = 'pith';

/**
 * Who gets a reply on this subject: a client with an inbox, or another gateway that has sent a request. null: no one
 * may. A gateway may publish what others may not, so it replies only under `_INBOX.`, and never where gateways wait
 * for the answers of backends.
 */
export function answersTo(reply: string): 'inbox' | 'gateway' | null {
  if (reply.length > SUBJECT_BYTES_MAX || !/^_INBOX(\.[^.*>\s\p{Cc}]+)+$/u.test(reply)) return null;
  const tokens = reply.split('.');
  if (tokens.length < 4) return 'inbox';
  if (tokens[2] === 'rpc') return null;
  return tokens[2] === 'ask' ? 'gateway' : 'inbox';
}

export type Scope = 'session' | 'user' | 'group' | 'all' | 'gateway';

export class Subjects {
  readonly #prefix: string;
  readonly #gatewayId: string;
  /** The first tokens of the subjects on which this gateway gets answers. */
  readonly inboxPrefix: string;

  /** @param prefix Tokens joined by dots; `pith` unless configured. */
  constructor(prefix: string, gatewayId: string) {
    this.#prefix = prefix;
    this.#gatewayId = gatewayId;
    this.inboxPrefix = `_INBOX.${gatewayId}`;
  }

  /** A request or notify on a well-formed route. */
  rpc(route: string): string {
    return `${this.#prefix}.rpc.${route}`;
  }

  /** The same for one instance. */
  rpcTo(instance: string, route: string): string {
    return `${this.#prefix}.to.${encodeToken(instance)}.${route}`;
  }

  /** What all of these have in common, for traces. */
  template(toInstance: boolean): string {
    return `${this.#prefix}.${toInstance ? 'to.{instance}' : 'rpc'}.{route}`;
  }

  /** The handshake, for the backend that decides who may come in. */
  get connect(): string {
    return `${this.#prefix}.connect`;
  }

  /** All answers of backends. */
  get answers(): string {
    return `${this.inboxPrefix}.rpc.*`;
  }

  answer(id: number): string {
    return `${this.inboxPrefix}.rpc.${id.toString(36)}`;
  }

  /** The number of an answer's subject, which may be given as its bytes; 0: none. */
  answerId(subject: string | Uint8Array): number {
    let id = 0;
    for (let i = this.inboxPrefix.length + 5; i < subject.length; i++) {
      const digit = digitOf36(typeof subject === 'string' ? subject.charCodeAt(i) : subject[i]!);
      if (digit < 0) return 0;
      id = id * 36 + digit;
    }
    return Number.isSafeInteger(id) ? id : 0;
  }

  /** All replies to what this gateway has requested of others. */
  get asked(): string {
    return `${this.inboxPrefix}.ask.*`;
  }

  /** @param number It must not be guessable: anyone who knows it can reply. */
  ask(number: string): string {
    return `${this.inboxPrefix}.ask.${number}`;
  }

  /** All verbs for the sessions of this gateway. */
  get ownSessions(): string {
    return `${this.#prefix}.session.${this.#gatewayId}.*.*`;
  }

  /** A verb for one session, on whichever gateway; null: no gateway makes such a sid. */
  session(sid: string, verb: string): string | null {
    if (!/^[A-Za-z0-9_-]{1,64}\.[1-9][0-9]{0,15}$/.test(sid)) return null;
    return `${this.#prefix}.session.${sid}.${verb}`;
  }

  /** All verbs for one user or group. */
  everyVerb(kind: 'user' | 'group', name: string): string {
    return `${this.#prefix}.${kind}.${encodeToken(name)}.*`;
  }

  /** The same as if the name had not been encoded; null: encoding leaves it as it is, or it is not one token. */
  everyVerbRaw(kind: 'user' | 'group', name: string): string | null {
    const subject = `${this.#prefix}.${kind}.${name}.*`;
    const isToken = ONE_TOKEN.test(name) && Buffer.byteLength(subject) <= SUBJECT_BYTES_MAX;
    return isToken && encodeToken(name) !== name ? subject : null;
  }

  get all(): string {
    return `${this.#prefix}.all.*`;
  }

  /** What is for this gateway alone: many pushes in one message, and methods of Control. */
  get own(): string {
    return `${this.#prefix}.gateway.${this.#gatewayId}.*`;
  }

  /** Methods of Control that any one gateway carries out. */
  get control(): string {
    return `${this.#prefix}.control.*`;
  }

  /**
   * Subjects with a wrong number of tokens for any verb, most often because a name with a dot was not encoded. One
   * gateway of `NEAR_MISS_QUEUE` gets such a message, and answers that it is wrong.
   */
  get nearMisses(): string[] {
    const kinds = ['session.*', 'session.*.*', 'session.*.*.*.>', 'all.*.>'];
    for (const kind of ['user', 'group', 'gateway']) kinds.push(`${kind}.*`, `${kind}.*.*.>`);
    return kinds.map((kind) => `${this.#prefix}.${kind}`);
  }

  /** Between gateways only: calls to all of them. */
  fleet(verb: string): string {
    return `${this.#prefix}.fleet.${verb}`;
  }

  /** @param name As `session.opened`. */
  event(name: string): string {
    return `${this.#prefix}.event.${name}`;
  }

  /** What all gateways tell of themselves. */
  get gatewayEvents(): string {
    return this.event('gateway.*');
  }

  /** Where backends publish a push to a user that is to be kept. */
  keep(uid: string): string {
    return `${this.#prefix}.keep.user.${encodeToken(uid)}`;
  }

  /** All of these, for the stream that keeps them. */
  get allKept(): string {
    return `${this.#prefix}.keep.user.*`;
  }

  /** Where that stream sends on what it has kept, as its configuration has it. */
  get keptOnwards(): string {
    return `${this.#prefix}.user.{{wildcard(1)}}.${KEPT_VERB}`;
  }

  /** What no stream may capture: all subjects of the gateway except those under `event` and `keep`. */
  get notForStreams(): string[] {
    const kinds = ['rpc', 'to', 'session', 'user', 'group', 'all', 'gateway', 'control', 'fleet'];
    return [this.connect, ...kinds.map((kind) => `${this.#prefix}.${kind}.>`)];
  }

  /** Takes the subject of a message apart. `name` is the token as it stands; for a session it is the sid. */
  parse(subject: string): { scope: Scope | 'fleet'; name: string; verb: string } | null {
    const tokens = subject.slice(this.#prefix.length + 1).split('.');
    const scope = tokens[0];
    const verb = tokens.at(-1)!;
    if (scope === 'session' && tokens.length === 4)
      return { scope, name: `${tokens[1]}.${tokens[2]}`, verb };
    if ((scope === 'user' || scope === 'group' || scope === 'gateway') && tokens.length === 3) {
      return { scope, name: tokens[1]!, verb };
    }
    if ((scope === 'all' || scope === 'fleet') && tokens.length === 2)
      return { scope, name: '', verb };
    return null;
  }
}

/** Of `0` to `9` and `a` to `z`; -1: it is another character. */
function digitOf36(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x7a ? code - 0x57 : -1;
}
