/** Plays the lines of a script about NATS on a stage: its clients, what they have heard, and when nothing is on its way. */
import type { NatsConnection, NatsMessage } from '../../src/upstream/nats/nats-connection.ts';
import type { Deed, Stage } from './nats-stage.ts';

/** Rounds after which nothing is on its way any more, even if each message has an answer. */
const ROUNDS = 4;
/** How often it is asked whether something has happened meanwhile. */
const ASKED_MAX = 3_000;

type Subscribed = { readonly subject: string; readonly unsubscribe: () => void };

class Client {
  readonly name: string;
  readonly nc: NatsConnection;
  /** What happened and no line has mentioned yet. */
  readonly heard: string[] = [];
  readonly subscribed: Subscribed[] = [];
  rooms = 0;
  isDrained = false;
  isDiscarded = false;
  /** Round trips under way, and how they ended. */
  readonly flushes: string[] = [];
  #end = '';

  constructor(name: string, nc: NatsConnection) {
    this.name = name;
    this.nc = nc;
    nc.listen({
      onRoom: () => this.rooms++,
      onStale: () => this.heard.push('stale'),
      onLameDuck: () => this.heard.push('lame duck'),
      onError: (what, refused) => {
        const about = refused === null ? '' : ` (${refused.subject} ${refused.queue || '-'})`;
        this.heard.push(`error: ${what}${about}`);
      },
    });
    nc.closed().then(
      (error) => {
        this.#end = error?.message ?? '';
        this.heard.push('closed');
      },
      () => this.heard.push('closed() rejected'),
    );
  }

  /** Why it was closed; '' for no reason. */
  get end(): string {
    return this.#end;
  }

  subscribe(subject: string, queue: string, onMessage: (message: NatsMessage) => void): void {
    const take = (error: Error | null, message: NatsMessage): void => {
      if (error === null) onMessage(message);
      else this.heard.push(`refused: ${error.message}`);
    };
    const { nc } = this;
    const { unsubscribe } = wrap(nc.subscribe(subject, take, queue));
    this.subscribed.push({ subject, unsubscribe });
  }
}

function wrap(subscription: { unsubscribe(): void }): { unsubscribe: () => void } {
  return {
    unsubscribe: () => {
      subscription.unsubscribe();
    },
  };
}

export class Player {
  readonly stage: Stage;
  readonly #clients = new Map<string, Client>();
  /** A client on each server that is up, by which it is known what other servers have processed. */
  readonly #probes = new Map<string, Probe>();
  readonly #away = new Set<string>();
  readonly #held = new Set<string>();

  constructor(stage: Stage) {
    this.stage = stage;
  }

  async begin(): Promise<void> {
    await this.#probeAll();
    await this.settle();
  }

  /** What no line has mentioned. */
  async end(): Promise<string[]> {
    await this.settle();
    return [...this.#clients.values()].flatMap(({ name, heard, flushes }) => [
      ...heard.map((what) => `${name} hears ${what}`),
      ...flushes.map((how) => `${name}'s flush is ${how}`),
    ]);
  }

  client(name: string): Client {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`${name} has not connected`);
    return client;
  }

  expect(actual: unknown, expected: unknown, what: string): void {
    if (actual !== expected) throw new Error(`${what}: ${String(actual)}, not ${String(expected)}`);
  }

  async connect(name: string, servers = 'n1', as = { user: '', password: '' }): Promise<void> {
    const dialled = this.stage.dial(name, servers.split(' '), as);
    this.#clients.set(name, new Client(name, await this.stage.wait(dialled, `${name} to connect`)));
  }

  async cannotConnect(
    name: string,
    servers: string | undefined,
    as: { user: string; password: string },
    why: string,
  ): Promise<void> {
    const direct = { ...as, isDirect: true };
    const dialled = this.stage.dial(name, (servers ?? 'n1').split(' '), direct).then(
      () => 'it is connected',
      (error: unknown) => (error as Error).message,
    );
    this.expect(await this.stage.wait(dialled, 'the refusal'), why, 'why');
  }

  unsubscribe(name: string, subject: string): void {
    const { subscribed } = this.client(name);
    const at = subscribed.findIndex((one) => one.subject === subject);
    subscribed[at]!.unsubscribe();
    subscribed.splice(at, 1);
  }

  async flush(name: string): Promise<void> {
    await this.stage.wait(this.client(name).nc.flush(), `${name} to flush`);
  }

  drain(name: string): void {
    const client = this.client(name);
    client.nc.drain().then(
      () => (client.isDrained = true),
      () => client.heard.push('drain() rejected'),
    );
  }

  async hears(name: string, what: string): Promise<void> {
    const { heard } = this.client(name);
    await this.stage.until(() => heard.length > 0, `${name} to hear something`);
    this.expect(heard.shift(), what, `${name} heard`);
  }

  /** Asks until the server says so; it may hear of an end only later. It must be subscribed to its inbox. */
  async findsNoOne(name: string, subject: string): Promise<void> {
    const { nc, heard } = this.client(name);
    const inbox = `_INBOX.${name}.find`;
    const nobody = `${inbox} - headers NATS/1.0~503|Nats-Subject:~${subject}||`;
    await this.#again(() => heard.includes(nobody), async () => {
      nc.publish(subject, Buffer.alloc(0), { reply: inbox });
      await nc.flush();
    }); // prettier-ignore
    heard.splice(0);
  }

  async oneHears(names: readonly string[], what: string): Promise<void> {
    await this.settle();
    const lists = names.map((name) => this.client(name).heard);
    const heard = lists.map((list) => list.filter((one) => one === what).length);
    this.expect(heard.reduce((a, b) => a + b), 1, `how often ${names.join(' or ')} heard it`); // prettier-ignore
    for (const list of lists) if (list.includes(what)) list.splice(list.indexOf(what), 1);
  }

  /** Each of them gets a part. */
  async share(names: readonly string[], count: number, what: string): Promise<void> {
    await this.settle();
    const parts = names.map((name) => {
      const { heard } = this.client(name);
      return heard.splice(0).filter((one) => one === what).length;
    });
    this.expect(parts.reduce((a, b) => a + b), count, `how often they heard it (${parts.join()})`); // prettier-ignore
    this.expect(Math.min(...parts) > 0, true, `each of them heard it (${parts.join()})`);
  }

  async knows(name: string, servers: string): Promise<void> {
    const wanted = servers.split(' ').map((server) => this.stage.addressOf(server)).sort().join(); // prettier-ignore
    const known = (): string => [...this.client(name).nc.otherServers].sort().join();
    await this.stage.until(() => known() === wanted, `${name} to know ${wanted}, not ${known()}`);
  }

  async act(server: string, deed: Deed): Promise<void> {
    if (deed === 'start' || deed === 'resume') this.#away.delete(server);
    else this.#away.add(server);
    if (deed === 'kill' || deed === 'stop') this.#probes.delete(server);
    await this.stage.wait(this.stage.act(server, deed), deed);
    if (deed === 'start') {
      await this.#probeAll();
      await this.settle();
    }
  }

  hold(ends: readonly string[]): void {
    this.#held.add([...ends].sort().join(' '));
    this.stage.hold(...ends);
  }

  async release(ends: readonly string[]): Promise<void> {
    this.#held.delete([...ends].sort().join(' '));
    this.stage.release(...ends);
    if (ends.length > 1) await this.settle();
  }

  // ---- until nothing is on its way ----------------------------------------------------------------------

  /** Everything that was sent before has been heard; without waiting for time to pass. */
  async settle(): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) {
      await this.#flushAll();
      await this.#markAll();
    }
    await this.#flushAll();
  }

  async #flushAll(): Promise<void> {
    const open = [...this.#clients.values()].filter(
      ({ name, nc, isDiscarded }) =>
        !nc.isClosed && !isDiscarded && !this.#held.has(name) && !this.#isAway(nc.server),
    );
    const flushes = open.map(({ nc }) => Promise.race([nc.flush().catch(() => {}), nc.closed()]));
    await this.stage.wait(Promise.all(flushes), 'all to flush');
  }

  #isAway(address: string): boolean {
    return [...this.#away].some((server) => this.stage.addressOf(server) === address);
  }

  /** From each server to each other, by the way that all messages take. */
  async #markAll(): Promise<void> {
    for (const [from, probe] of this.#probes) {
      for (const [to, other] of this.#probes) {
        if (from === to || this.#away.has(from) || this.#away.has(to)) continue;
        if (this.#held.has([from, to].sort().join(' '))) continue;
        const mark = `probe.${to}.${from}`;
        const before = other.marks.get(mark) ?? 0;
        // Until the server knows that someone there wants it.
        await this.#again(() => (other.marks.get(mark) ?? 0) > before, async () => {
          probe.nc.publish(mark, Buffer.alloc(0));
          await probe.nc.flush();
        }); // prettier-ignore
      }
    }
  }

  async #again(isDone: () => boolean, act: () => Promise<void>): Promise<void> {
    for (let asked = 0; !isDone(); asked++) {
      if (asked > ASKED_MAX) throw new Error(`asked ${asked} times in vain`);
      await this.stage.wait(act(), 'a probe');
      let turns = 0;
      await this.stage.until(() => isDone() || ++turns > 5, 'a mark');
    }
  }

  async #probeAll(): Promise<void> {
    if (this.stage.servers.length === 1) return;
    for (const server of this.stage.servers) {
      if (this.#probes.has(server) || this.#away.has(server)) continue;
      const nc = await this.stage.wait(this.stage.dial(`probe ${server}`, [server], { user: '', password: '' }), `a probe of ${server}`); // prettier-ignore
      const probe: Probe = { nc, marks: new Map() };
      const count = (_: Error | null, { subject }: NatsMessage): void => {
        probe.marks.set(subject, (probe.marks.get(subject) ?? 0) + 1);
      };
      nc.subscribe(`probe.${server}.*`, count, '');
      this.#probes.set(server, probe);
    }
  }
}

type Probe = { readonly nc: NatsConnection; readonly marks: Map<string, number> };

/** The subject, the data, where an answer is wanted, and the header block with `|` and `~` for line breaks and spaces. */
export function textOf({ subject, reply, data, _msg, _rdata }: NatsMessage): string {
  const text = Buffer.from(data).toString();
  const isLong = text.length > 80 && text === text[0]!.repeat(text.length);
  let line = `${subject} ${isLong ? `${text[0]!}*${text.length}` : text || '-'}`;
  if (reply) line += ` reply ${reply}`;
  if (_msg.hdr > 0) {
    const block = Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr).toString('latin1');
    line += ` headers ${block.replaceAll('\r\n', '|').replaceAll(' ', '~')}`;
  }
  return line;
}
