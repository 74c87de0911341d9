/**
 * A backend for tests: pith.v1.Backend on a real gRPC server, in this process. A handler says what becomes of
 * each request; everything that comes is kept in order, and may be waited for.
 */
import {
  type Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import { HealthImplementation, type ServingStatus } from 'grpc-health-check';

import type { Json, JsonObject } from '../../src/contract/commands.ts';
import { BackendLink, type LinkStream } from './backend-link.ts';
import { ConnectAsked } from './connect-asked.ts';
import {
  backendService,
  type ClosedShape,
  type ConnectShape,
  fromStruct,
  type GatewayFrame,
  jsonBytes,
  type RequestShape,
  type Shape,
} from './grpc-shapes.ts';
import { PATIENCE_MS } from './wait.ts';

type HandleCall = ServerUnaryCall<RequestShape, Shape | Buffer>;
type ConnectCall = ServerUnaryCall<ConnectShape, Shape | Buffer>;

/** One message of a client, as this backend got it. */
export class Asked {
  readonly instance: string;
  readonly request: RequestShape;
  /** null: by Handle. */
  readonly link: BackendLink | null;
  readonly id: number;
  /** By Handle: milliseconds left of grpc-timeout when it came. */
  readonly deadlineMs: number;
  /** By Handle, the call was cancelled; on a Link, a Cancel frame came. */
  cancelled = false;
  readonly #done: sendUnaryData<Shape | Buffer> | null;

  constructor(
    instance: string,
    request: RequestShape,
    by: { link: BackendLink; id: number } | { done: sendUnaryData<Shape | Buffer>; ms: number },
  ) {
    this.instance = instance;
    this.request = request;
    this.link = 'link' in by ? by.link : null;
    this.id = 'link' in by ? by.id : 0;
    this.#done = 'done' in by ? by.done : null;
    this.deadlineMs = 'done' in by ? by.ms : Number.NaN;
  }

  get sid(): string {
    return this.request.session.sid;
  }

  get uid(): string {
    return this.request.session.uid;
  }

  get route(): string {
    return this.request.route;
  }

  /** "<sid>:<seq>", which no other message has. */
  get key(): string {
    return `${this.sid}:${this.request.seq}`;
  }

  /** The client's body, parsed. */
  get body(): JsonObject {
    return JSON.parse(this.request.body.toString()) as JsonObject;
  }

  /** The session's data that was forwarded; null: none was. */
  get data(): JsonObject | null {
    const { data } = this.request.session;
    return data === null ? null : fromStruct(data);
  }

  reply(reply: Shape): void {
    if (this.link === null) this.#done!(null, reply);
    else this.link.send({ id: this.id, reply });
  }

  /** Answers with a JSON body, and whatever else the reply should hold. */
  answer(body: Json, more: Shape = {}): void {
    this.reply({ body: jsonBytes(body), ...more });
  }

  /** By Handle only: a status instead of a reply, or bytes that are no Reply. */
  end(how: { code: number; details: string } | Buffer): void {
    if (Buffer.isBuffer(how)) this.#done!(null, how);
    else this.#done!(how);
  }
}

export type Handler = (asked: Asked) => void;

export type BackendOptions = {
  instance?: string;
  handler?: Handler;
  /** What becomes of handshakes; null: no Connect. */
  connect?: ((asked: ConnectAsked) => void) | null;
  /** hello: as it should be · silent: a Link that never says hello · unimplemented: no Link. */
  link?: 'hello' | 'silent' | 'unimplemented';
  /** As grpc-js takes it; default: a free port of 127.0.0.1. */
  address?: string;
  /** More of its hello. */
  hello?: { features?: string[]; max_in_flight?: number };
  /** What grpc.health.v1 says of the whole server; null: it has no such service. */
  health?: ServingStatus | null;
  /** PEM texts; default: plain text. With `ca` clients must have a certificate of it. */
  tls?: { cert: string; key: string; ca?: string };
};

/** Answers with what came, and who answered. */
export const echo: Handler = (asked) => {
  if (!asked.request.notify) asked.answer({ ...asked.body, instance: asked.instance });
};

/** Accepts, and says nothing. */
const letIn = (asked: ConnectAsked): void => {
  asked.accept();
};

export class GrpcBackend implements AsyncDisposable {
  readonly instance: string;
  handler: Handler;
  connect: NonNullable<BackendOptions['connect']> | null;
  link: NonNullable<BackendOptions['link']>;
  readonly more: NonNullable<BackendOptions['hello']>;
  /** null: no such service. */
  readonly health: HealthImplementation | null;
  readonly #tls: BackendOptions['tls'];
  /** Every request, in the order in which they came. */
  readonly requests: Asked[] = [];
  readonly connects: ConnectAsked[] = [];
  readonly links: BackendLink[] = [];
  /** Sessions whose end was told, by frame or by call. */
  readonly closed: (ClosedShape & { by: 'link' | 'call' })[] = [];
  /** Metadata of Handle calls. */
  readonly handleMetadata: Metadata[] = [];
  /** host:port or unix:/path */
  address: string;
  #server: Server | null = null;
  readonly #watchers = new Set<() => void>();

  private constructor(options: BackendOptions) {
    this.instance = options.instance ?? 'test-1';
    this.handler = options.handler ?? echo;
    this.connect = options.connect === undefined ? letIn : options.connect;
    this.link = options.link ?? 'hello';
    this.address = options.address ?? '127.0.0.1:0';
    this.more = options.hello ?? {};
    const health = options.health ?? null;
    this.health = health === null ? null : new HealthImplementation({ '': health });
    this.#tls = options.tls;
  }

  static async start(options: BackendOptions = {}): Promise<GrpcBackend> {
    const backend = new GrpcBackend(options);
    await backend.listen();
    return backend;
  }

  /** For `backends.<name>.grpc`. */
  get url(): string {
    return this.address.startsWith('unix:') ? this.address : `ipv4:${this.address}`;
  }

  get port(): number {
    return Number(this.address.slice(this.address.lastIndexOf(':') + 1));
  }

  /** Serves, again after `kill` at the same address. */
  async listen(): Promise<void> {
    const server = new Server();
    this.#server = server;
    this.health?.addToServer(server);
    server.addService(backendService, {
      Link: (stream: LinkStream) => {
        this.#onLink(stream);
      },
      Handle: (call: HandleCall, done: sendUnaryData<Shape | Buffer>) => {
        this.#onHandle(call, done);
      },
      Connect: (call: ConnectCall, done: sendUnaryData<Shape | Buffer>) => {
        const ms = Number(call.getDeadline()) - Date.now();
        const asked = new ConnectAsked(this.instance, call.request, { done, ms });
        call.on('cancelled', () => {
          asked.cancelled = true;
          this.#look();
        });
        if (this.connect === null) asked.end(status.UNIMPLEMENTED, 'no Connect here');
        else this.#takeConnect(asked);
      },
      Closed: (call: ServerUnaryCall<ClosedShape, Shape>, done: sendUnaryData<Shape>) => {
        this.closed.push({ ...call.request, by: 'call' });
        done(null, {});
        this.#look();
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address, credentialsOf(this.#tls), (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    if (this.address.endsWith(':0')) this.address = `127.0.0.1:${port}`;
  }

  /** Ends at once, with every connection. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const link of this.links) link.isOpen = false;
    server?.forceShutdown();
    await new Promise<unknown>((resolve) => {
      if (server === null) resolve(null);
      else server.tryShutdown(resolve);
    });
  }

  /** Ends when each call and link has ended; new ones are refused. */
  finish(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#server === null) resolve();
      else
        this.#server.tryShutdown(() => {
          resolve();
        });
    });
  }

  /** The link that is open now. */
  get current(): BackendLink {
    const link = this.links.findLast((one) => one.isOpen);
    if (link === undefined) throw new Error(`${this.instance}: no link is open`);
    return link;
  }

  /** The `n`th request (the first is 0), as soon as it is there. */
  request(n: number): Promise<Asked> {
    return this.wait(() => this.requests[n], `request ${n}`);
  }

  /** The `n`th handshake, as soon as it is asked about. */
  asked(n: number): Promise<ConnectAsked> {
    return this.wait(() => this.connects[n], `handshake ${n}`);
  }

  /** The frame of this kind that has this id, as soon as it is there. */
  frame(kind: string, id: number): Promise<Shape> {
    const look = (): Shape | undefined =>
      this.current.got(kind).find((frame) => frame.id === id)?.what;
    return this.wait(look, `${kind} ${id}`);
  }

  /** Waits until `look` finds something; looks again whenever something comes. */
  wait<T>(look: () => T | undefined, what: string, ms = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(check);
        reject(new Error(`${this.instance}: waited ${ms} ms for ${what}`));
      }, ms);
      const check = (): void => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#watchers.delete(check);
        resolve(found);
      };
      this.#watchers.add(check);
      check();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #look(): void {
    for (const check of this.#watchers) check();
  }

  #take(asked: Asked): void {
    this.requests.push(asked);
    this.handler(asked);
    this.#look();
  }

  #takeConnect(asked: ConnectAsked): void {
    this.connects.push(asked);
    this.connect?.(asked);
    this.#look();
  }

  #onLink(stream: LinkStream): void {
    stream.on('error', () => {});
    if (this.link === 'unimplemented') {
      stream.emit('error', { code: status.UNIMPLEMENTED, details: 'no Link here' });
      return;
    }
    const link = new BackendLink(this, stream);
    this.links.push(link);
    const end = (): void => {
      if (link.isOpen) link.end();
      this.#look();
    };
    stream.on('end', end);
    stream.on('cancelled', end);
    stream.on('data', (message) => {
      for (const frame of message.frames) this.#onFrame(link, frame);
    });
    if (this.link === 'hello') link.hello();
    this.#look();
  }

  #onFrame(link: BackendLink, frame: GatewayFrame): void {
    link.frames.push(frame);
    if (frame.frame === 'request') {
      this.#take(
        new Asked(this.instance, frame['request'] as RequestShape, { link, id: frame.id }),
      );
      return;
    }
    if (frame.frame === 'connect') {
      const request = frame['connect'] as ConnectShape;
      this.#takeConnect(new ConnectAsked(this.instance, request, { link, id: frame.id }));
      return;
    }
    if (frame.frame === 'closed')
      this.closed.push({ ...(frame['closed'] as ClosedShape), by: 'link' });
    if (frame.frame === 'cancel') {
      const asked = [...this.requests, ...this.connects].find(
        (one) => one.link === link && one.id === frame.id,
      );
      if (asked !== undefined) asked.cancelled = true;
    }
    this.#look();
  }

  #onHandle(call: HandleCall, done: sendUnaryData<Shape | Buffer>): void {
    this.handleMetadata.push(call.metadata);
    const ms = Number(call.getDeadline()) - Date.now();
    const asked = new Asked(this.instance, call.request, { done, ms });
    call.on('cancelled', () => {
      asked.cancelled = true;
      this.#look();
    });
    this.#take(asked);
  }
}

function credentialsOf(tls: BackendOptions['tls']): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { cert, key, ca } = tls;
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) };
  return ca === undefined
    ? ServerCredentials.createSsl(null, [pair])
    : ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
}
