/**
 * What the doubles have in common. A double sends byte for byte what a client in the field sends, and is as strict
 * in receiving as that client is brittle: where the real one would assert, crash, stop, reconnect or misread, the
 * double fails with `Trouble`, and so does whoever waits for it, at the latest when it is disposed of.
 */
import type { Line } from './line.ts';
import { pack, type Package, PackageType, Trouble, Unpacker } from './wire.ts';
import { PATIENCE_MS } from '../support/wait.ts';

/** What the application behind the client got. */
export type Told =
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly body: unknown;
      readonly error: boolean;
    }
  | { readonly kind: 'push'; readonly route: string; readonly body: unknown }
  | { readonly kind: 'kick'; readonly body: unknown };

export type Json = { readonly [key: string]: unknown };

export abstract class Double implements AsyncDisposable {
  /** What the application was told, in order. */
  readonly told: Told[] = [];
  /** Packages in both directions, in order. */
  readonly sent: Buffer[] = [];
  readonly received: Package[] = [];
  /** The first thing that the real client would not have survived. */
  trouble: Error | null = null;
  /** True once the gateway, or the client itself, has ended the connection. */
  hasEnded = false;
  /** True where the client ended it, or was told to stay away. */
  isLeaving = false;
  /** Routes of requests without an answer. */
  protected readonly asked = new Map<number, string>();
  readonly #line: Line;
  readonly #unpacker = new Unpacker();
  readonly #watchers = new Set<() => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #ids = 0;
  /** Somebody waited, and has got the trouble as the reason why in vain. */
  #isTroubleTold = false;

  protected constructor(line: Line) {
    this.#line = line;
    line.onBytes = (bytes) => {
      this.#guard(() => {
        this.onBytes(bytes);
      });
    };
    line.onEnd = () => {
      this.hasEnded = true;
      this.#stopTimers();
      this.#look();
    };
  }

  /** Sends the handshake, and waits until the client calls itself connected. */
  async start(user?: Json): Promise<void> {
    this.write(pack(PackageType.HANDSHAKE, this.opening(user)));
    await this.until(() => this.isShaken || undefined, 'the end of the handshake');
  }

  abstract get isShaken(): boolean;

  /** The handshake's body. */
  protected abstract opening(user: Json | undefined): Buffer;

  /** The message of a request, or of a notify where `id` is 0. */
  protected abstract encode(id: number, route: string, body: Json): Buffer;

  /** Reads one package as the real client does, or throws Trouble. */
  protected abstract onPackage(type: number, body: Buffer): void;

  /** Bytes from the socket; by default a stream. */
  protected onBytes(bytes: Buffer): void {
    for (const { type, body } of this.#unpacker.push(bytes)) this.takePackage({ type, body });
  }

  protected takePackage(one: Package): void {
    this.received.push(one);
    this.onPackage(one.type, one.body);
    this.#look();
  }

  /** Asks and waits; the answer's body, as the application gets it. */
  async request(route: string, body: Json = {}): Promise<unknown> {
    return (await this.ask(route, body)).body;
  }

  /** Asks and waits; the whole answer. */
  async ask(route: string, body: Json = {}): Promise<Extract<Told, { kind: 'answer' }>> {
    const id = ++this.#ids;
    this.asked.set(id, route);
    this.write(pack(PackageType.DATA, this.encode(id, route, body)));
    return this.until(() => {
      const found = this.told.find((told) => told.kind === 'answer' && told.id === id);
      return found as Extract<Told, { kind: 'answer' }> | undefined;
    }, `the answer to ${route}`);
  }

  notify(route: string, body: Json = {}): void {
    this.write(pack(PackageType.DATA, this.encode(0, route, body)));
  }

  /** The body of the `n`th push of a route; the first is 0. */
  push(route: string, n = 0): Promise<unknown> {
    return this.until(() => {
      const pushes = this.told.filter((told) => told.kind === 'push' && told.route === route);
      return pushes[n];
    }, `push ${n} of ${route}`).then(({ body }) => body);
  }

  /** What the application learns of a kick; undefined where that is nothing. */
  async kicked(): Promise<unknown> {
    const found = await this.until(() => this.told.find(({ kind }) => kind === 'kick'), 'a kick');
    return found.body;
  }

  /** Resolves once the connection is closed. */
  async ended(): Promise<void> {
    await this.until(() => this.hasEnded || undefined, 'the end');
  }

  /** Resolves once the client has sent this many heartbeats. */
  async beats(count: number): Promise<void> {
    await this.until(() => this.beatsSent >= count || undefined, `${count} heartbeats`);
  }

  get beatsSent(): number {
    return this.sent.filter((bytes) => bytes[0] === PackageType.HEARTBEAT).length;
  }

  /** Ends as the application would. */
  leave(): void {
    this.isLeaving = true;
    this.#line.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    if (!this.hasEnded) await this.#ended();
    if (this.trouble !== null && !this.#isTroubleTold) throw this.trouble;
  }

  protected write(bytes: Buffer): void {
    this.sent.push(bytes);
    this.#line.write(bytes);
  }

  protected tell(told: Told): void {
    this.told.push(told);
  }

  /** A timer of the client; gone with the connection. */
  protected after(ms: number, act: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#guard(act);
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  protected stop(timer: NodeJS.Timeout | undefined): void {
    clearTimeout(timer);
    if (timer !== undefined) this.#timers.delete(timer);
  }

  /** Waits until `find` has something; fails with the trouble, or when the connection ends before. */
  until<T>(find: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const fail = (error: Error): void => {
        finish();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(new Error(`${what} did not come in ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      const look = (): void => {
        const found = find();
        if (this.trouble !== null) {
          this.#isTroubleTold = true;
          fail(this.trouble);
        } else if (found !== undefined) {
          finish();
          resolve(found);
        } else if (this.hasEnded) {
          fail(new Error(`the connection ended before ${what}`));
        }
      };
      this.#watchers.add(look);
      look();
    });
  }

  #ended(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.hasEnded) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  #guard(act: () => void): void {
    if (this.trouble !== null) return;
    try {
      act();
    } catch (error) {
      this.trouble = error instanceof Trouble ? error : new Trouble(String(error));
      this.#line.cut();
    }
    this.#look();
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
