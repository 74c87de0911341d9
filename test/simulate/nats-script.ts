/**
 * Plays a script about NATS: lines that do something, and lines that say what is then heard. Nothing depends on how
 * long anything takes, so the same script can be played to a real nats-server and to the double.
 */
import type { NatsConnection } from '../../src/upstream/nats/nats-connection.ts';
import { Player, textOf } from './nats-player.ts';
import type { Deed, Stage } from './nats-stage.ts';

type Line = readonly [pattern: RegExp, play: (player: Player, ...words: string[]) => unknown];

const NAME = '([a-z])';
const SERVER = '(n[1-9])';
const line = (pattern: string, play: Line[1]): Line => [new RegExp(`^${pattern}$`), play];

const LINES: readonly Line[] = [
  // ---- what clients do ----
  line(`${NAME} connects(?: to (n[1-9](?: n[1-9])*))?(?: as (\\S+):(\\S+))?`, (player, name, servers, user = '', password = '') =>
    player.connect(name!, servers, { user, password })), // prettier-ignore
  line(`${NAME} cannot connect(?: to (n[1-9](?: n[1-9])*))?(?: as (\\S+):(\\S+))?: (.+)`, (player, name, servers, user = '', password = '', why = '') =>
    player.cannotConnect(name!, servers, { user, password }, why)), // prettier-ignore
  line(`${NAME} subscribes (\\S+)(?: in (\\S+))?`, (player, name, subject, queue = '') => {
    const client = player.client(name!);
    client.subscribe(subject!, queue, (message) => {
      client.heard.push(textOf(message));
    });
  }),
  line(`${NAME} answers (\\S+)(?: in (\\S+))? with (\\S+)`, (player, name, subject, queue = '', answer = '') => {
    const { nc } = player.client(name!);
    player.client(name!).subscribe(subject!, queue, ({ reply }) => {
      nc.publish(reply!, bytesOf(answer));
    });
  }), // prettier-ignore
  line(`${NAME} unsubscribes (\\S+)`, (player, name, subject) => {
    player.unsubscribe(name!, subject!);
  }),
  line(`${NAME} publishes(?: (\\d+) times)? (\\S+) (\\S+)(?: reply (\\S+))?(?: headers (\\S+))?`, (player, name, times = '1', subject = '', data = '', reply = '', headers = '') => {
    for (let i = 0; i < Number(times); i++) publish(player.client(name!).nc, subject, data, reply, headers);
  }), // prettier-ignore
  // In one turn.
  line(`${NAME} publishes and closes (\\S+) (\\S+)`, async (player, name, subject, data) => {
    const { nc } = player.client(name!);
    publish(nc, subject!, data!, '', '');
    await player.stage.wait(nc.close(), 'close');
  }),
  line(`${NAME} cannot publish (\\S+) (\\S+)(?: reply (\\S+))?(?: headers (\\S+))?`, (player, name, subject, data, reply = '', headers = '') => {
    expectThrow(() => {
      publish(player.client(name!).nc, spaced(subject!), data!, spaced(reply), headers);
    });
  }), // prettier-ignore
  line(`${NAME} cannot subscribe (\\S+)`, (player, name, subject) => {
    expectThrow(() => player.client(name!).nc.subscribe(spaced(subject!), () => {}, ''));
  }),
  line(`${NAME} flushes`, (player, name) => player.flush(name!)),
  line(`${NAME} begins to flush`, (player, name) => {
    const { nc, flushes } = player.client(name!);
    nc.flush().then(() => flushes.push('done'), () => flushes.push('failed')); // prettier-ignore
  }),
  line(`${NAME}'s flush is (done|failed)`, async (player, name, how) => {
    const { flushes } = player.client(name!);
    await player.stage.until(() => flushes.length > 0, `the flush of ${name!}`);
    player.expect(flushes.shift()!, how!, `the flush of ${name!}`);
  }),
  line(`${NAME}'s flush is open`, (player, name) => {
    player.expect(player.client(name!).flushes.join(), '', `the flush of ${name!}`);
  }),
  line(`${NAME} begins to drain`, (player, name) => {
    player.drain(name!);
  }),
  line(`${NAME} drains`, async (player, name) => {
    player.drain(name!);
    await player.stage.until(() => player.client(name!).isDrained, `the drain of ${name!}`);
  }),
  line(`${NAME} closes`, (player, name) => player.stage.wait(player.client(name!).nc.close(), 'close')), // prettier-ignore
  line(`${NAME} is discarded`, (player, name) => {
    const client = player.client(name!);
    client.isDiscarded = true;
    client.nc.discard();
  }),
  // ---- what they hear ----
  line(`${NAME} finds no one on (\\S+)`, (player, name, subject) => player.findsNoOne(name!, subject!)), // prettier-ignore
  line(`${NAME} hears (\\d+) times (.+)`, async (player, name, times, what) => {
    for (let i = 0; i < Number(times); i++) await player.hears(name!, what!);
  }),
  line(`${NAME} hears (.+)`, (player, name, what) => player.hears(name!, what!)),
  line(`${NAME} is told: (.+)`, (player, name, what) => player.hears(name!, what!)),
  line(`${NAME} is closed(?:: (.+))?`, async (player, name, why) => {
    await player.hears(name!, 'closed');
    if (why !== undefined) player.expect(player.client(name!).end, why, `why ${name!} was closed`);
  }),
  // Whatever it has heard until then, and whichever side was the first to notice.
  line(`${NAME} ends`, async (player, name) => {
    const { heard } = player.client(name!);
    await player.stage.until(() => heard.includes('closed'), `the end of ${name!}`);
    heard.length = 0;
  }),
  line(`one of ((?:[a-z] )+)hears (.+)`, (player, names, what) =>
    player.oneHears(names!.trim().split(' '), what!)), // prettier-ignore
  line(`((?:[a-z] )+)share (\\d+) of (.+)`, (player, names, count, what) =>
    player.share(names!.trim().split(' '), Number(count), what!)), // prettier-ignore
  line(`${NAME} has nothing unsent`, (player, name) => {
    player.expect(player.client(name!).nc.unsentBytes, 0, `unsent bytes of ${name!}`);
  }),
  line(`${NAME} was not told of room`, (player, name) => {
    player.expect(player.client(name!).rooms, 0, `room for ${name!}`);
  }),
  line(`${NAME} has room`, async (player, name) => {
    const client = player.client(name!);
    await player.stage.until(() => client.rooms > 0, `room for ${name!}`);
    player.expect(client.nc.unsentBytes, 0, `unsent bytes of ${name!}`);
  }),
  line(`${NAME} has more than (\\d+) unsent bytes`, (player, name, least) => {
    const { unsentBytes } = player.client(name!).nc;
    player.expect(unsentBytes > Number(least), true, `${unsentBytes} unsent bytes of ${name!}`);
  }),
  line(`${NAME} knows no servers`, (player, name) => {
    player.expect(player.client(name!).nc.otherServers.length, 0, `servers of ${name!}`);
  }),
  line(`${NAME} knows (n[1-9](?: n[1-9])*)`, (player, name, servers) => player.knows(name!, servers!)), // prettier-ignore
  line(`${NAME} is on ${SERVER}`, (player, name, server) => {
    player.expect(player.client(name!).nc.server, player.stage.addressOf(server!), 'server');
  }),
  line(`${NAME} may send (\\d+) bytes`, (player, name, most) => {
    player.expect(player.client(name!).nc.payloadBytesMax, Number(most), 'payloadBytesMax');
  }),
  // ---- what befalls servers and cables ----
  line(`${SERVER} (kill|stop|pause|resume|lame duck|start)`, (player, server, deed) =>
    player.act(server!, deed as Deed)), // prettier-ignore
  line(`hold (\\S+)(?: (\\S+))?`, (player, ...ends) => {
    player.hold(ends.filter((end) => end !== undefined));
  }),
  line(`release (\\S+)(?: (\\S+))?`, (player, ...ends) => player.release(ends.filter((end) => end !== undefined))), // prettier-ignore
  line(`cut (\\S+)(?: (\\S+))?`, (player, ...ends) => {
    player.stage.cut(...ends.filter((end) => end !== undefined));
  }),
  line(`${NAME} stops reading`, (player, name) => {
    player.stage.stopReading(name!);
  }),
  line(`${NAME} reads again`, (player, name) => {
    player.stage.readAgain(name!);
  }),
  line(`settle`, (player) => player.settle()),
];

/** Plays all lines. Rejects with the first one that does not come true; resolves with what was heard beyond them. */
export async function playScript(stage: Stage, script: string): Promise<string[]> {
  const player = new Player(stage);
  await player.begin();
  const lines = script.split('\n').map((text) => text.trim()).filter((text) => text !== ''); // prettier-ignore
  for (const text of lines) {
    const known = LINES.find(([pattern]) => pattern.test(text));
    if (known === undefined) throw new Error(`no such line: ${text}`);
    const [pattern, play] = known;
    try {
      await play(player, ...pattern.exec(text)!.slice(1));
    } catch (error) {
      throw new Error(`${text}: ${(error as Error).message}`, { cause: error });
    }
  }
  return player.end();
}

function publish(nc: NatsConnection, subject: string, data: string, reply: string, headers: string): void {
  const block = Buffer.from(headers.replaceAll('|', '\r\n').replaceAll('~', ' '), 'latin1');
  nc.publish(subject, bytesOf(data), {
    ...(reply !== '' && { reply }),
    ...(headers !== '' && { headers: { encode: () => block } }),
  });
} // prettier-ignore

/** `-`: none; `x*1000`: a thousand times x. */
function bytesOf(data: string): Buffer {
  const many = /^(.)\*(\d+)$/.exec(data);
  if (many !== null) return Buffer.alloc(Number(many[2]), many[1]);
  return Buffer.from(data === '-' ? '' : data);
}

function spaced(subject: string): string {
  return subject.replaceAll('~', ' ');
}

function expectThrow(act: () => void): void {
  try {
    act();
  } catch {
    return;
  }
  throw new Error('it was possible');
}
