/**
 * Clients who have nothing to do with it: they ask each backend in turn, the honest ones and the hostile ones, which
 * answer them as if nothing were wrong. Each request is to be answered, once, with what was sent.
 */
import { Client, type Dialect, type Transport } from './client.ts';
import { ANSWER_TIMEOUT_MS, KINDS, LISTENERS } from './config.ts';

/** Of each kind of client. */
export const BYSTANDERS = 20;
const CLIENTS: readonly (readonly [Dialect, Transport])[] = [
  ['pomelo', 'ws'],
  ['pomelo', 'tcp'],
  ['json', 'ws'],
];
/** Beyond the route's own time there is nothing to wait for, however busy the machine. */
const PATIENCE_MS = ANSWER_TIMEOUT_MS + 30_000;

/** What may be answered where a carrier was ended on purpose: away, or not in time. */
const EXCUSED = /"reason":"(BACKEND_AWAY|TIMEOUT|OVERLOADED|BUS_AWAY)"/;

export class Bystanders {
  answered = 0;
  /** Answered 503 or 504 by a backend whose carrier the attack ends. */
  excused = 0;
  worstMs = 0;
  /** What went wrong: never answered, answered twice, another's answer, an error. */
  readonly faults: string[] = [];
  /** The hostile backend whose carrier may be ended just now, as xipc; '': none. */
  excuse = '';
  #ports: readonly number[] = [];
  #pauseMs = 0;
  readonly #clients: Client[] = [];
  readonly #loops: Promise<void>[] = [];
  #paused = true;
  #stopped = false;
  #open = 0;
  #go: (() => void)[] = [];

  /** @param pauseMs Between two requests of one of them, half of it or up to one and a half. */
  static async start(ports: readonly number[], pauseMs: number): Promise<Bystanders> {
    const made = new Bystanders();
    made.#ports = ports;
    made.#pauseMs = pauseMs;
    for (let i = 0; i < CLIENTS.length * BYSTANDERS; i++) await made.#join(i);
    return made;
  }

  /** Reconnects the clients that lost their connection, so that one fault is not reported by every later attack. */
  async heal(): Promise<void> {
    for (const [i, client] of this.#clients.entries()) if (!client.isOpen) await this.#join(i);
  }

  async #join(index: number): Promise<void> {
    const [dialect, transport] = CLIENTS[index % CLIENTS.length]!;
    const client = await Client.join(this.#ports[LISTENERS.indexOf(dialect)]!, transport, dialect);
    this.#clients[index] = client;
    this.#loops.push(this.#live(client, Math.floor(index / CLIENTS.length)));
  }

  get count(): number {
    return this.#clients.length;
  }

  resume(): void {
    this.#paused = false;
    for (const go of this.#go.splice(0)) go();
  }

  /** Asks nothing more, and waits for what is under way. */
  async pause(): Promise<void> {
    this.#paused = true;
    while (this.#open > 0) await pause(5);
  }

  /** What went wrong since this was asked the last time. */
  takeFaults(): string[] {
    const strays = this.#clients.filter(({ strays: count }) => count > 0).length;
    for (const client of this.#clients) client.strays = 0;
    if (strays > 0) this.faults.push(`${strays} bystanders were answered twice`);
    const gone = this.#clients.filter(({ isOpen }) => !isOpen).length;
    if (gone > 0 && !this.#stopped)
      this.faults.push(`${gone} bystanders have lost their connection`);
    return this.faults.splice(0);
  }

  /** The longest wait since this was asked the last time. */
  takeWorst(): number {
    const worst = this.worstMs;
    this.worstMs = 0;
    return worst;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.resume();
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#loops);
  }

  async #live(client: Client, index: number): Promise<void> {
    for (let turn = index; !this.#stopped && client.isOpen; turn++) {
      if (this.#paused)
        await new Promise<void>((resolve) => {
          this.#go.push(resolve);
        });
      if (this.#stopped) return;
      const kind = KINDS[turn % KINDS.length]!;
      const side = Math.floor(turn / KINDS.length) % 2 === 0 ? 'a' : 'x';
      this.#open++;
      await this.#ask(client, `${side}${kind}`, `${index}-${turn}`);
      this.#open--;
      await this.#silence(this.#pauseMs * (0.5 + ((index * 7 + turn * 13) % 16) / 16));
    }
  }

  /** Ended by `resume`: each asks as soon as an attack begins. */
  #silence(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(go, ms);
      function go(): void {
        clearTimeout(timer);
        resolve();
      }
      this.#go.push(go);
    });
  }

  async #ask(client: Client, backend: string, token: string): Promise<void> {
    const before = performance.now();
    const excuse = this.excuse;
    const body = `{"text":"bystander-${token}"}`;
    const outcome = await client.ask(`${backend}.echo.say`, body, PATIENCE_MS);
    if (this.#stopped) return;
    this.worstMs = Math.max(this.worstMs, performance.now() - before);
    if (outcome.kind !== 'answer') {
      this.faults.push(`${client.dialect}/${client.transport} by ${backend}: ${outcome.kind}`);
      return;
    }
    const answer = outcome.body.toString('utf8', 0, 300);
    if (answer.includes(`"bystander-${token}"`)) this.answered++;
    else if ((backend === excuse || backend === this.excuse) && EXCUSED.test(answer))
      this.excused++;
    else this.faults.push(`${client.dialect}/${client.transport} by ${backend}: ${answer}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
