/** An address with a Link: what it does when the backend, or its connection, goes, says nothing or has no Link. */
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';

import { DialledLink } from '../../../../src/upstream/grpc/dialled-link.ts';
import { GrpcStage, request, turn } from './grpc-stage.ts';

const start = (deadAfterMs = 0) =>
  GrpcStage.start((owner, options, parts) => new DialledLink(owner, options, parts), deadAfterMs);

/** It serves by a Link. */
async function linked(deadAfterMs = 0) {
  const stage = await start(deadAfterMs);
  stage.connection.become('ready');
  stage.connection.link.hello();
  return stage;
}

/** It serves by Handle. */
async function handling() {
  const stage = await start();
  stage.connection.become('ready');
  stage.connection.link.fail(status.UNIMPLEMENTED, 'no Link');
  return stage;
}

describe('an address', () => {
  test('serves from the hello on', async () => {
    const stage = await start();
    stage.connection.become('ready');
    expect([stage.endpoint.condition, stage.connection.link.kinds]).toEqual(['connecting', []]);
    await turn();
    expect(stage.connection.link.kinds).toEqual(['hello']);
    stage.connection.link.hello('');
    expect(stage.reported()).toEqual(['link: connected']);
    expect(stage.endpoint.transport.keepsOrder).toBe(true);
  });

  test('that says no hello is given up after 5 s, with its connection, and tried again', async () => {
    const stage = await start();
    stage.connection.become('ready');
    const { link } = stage.connection;
    await stage.advance(4_900);
    expect([link.ended, stage.connection.renewed]).toEqual(['', 0]);
    await stage.advance(200);
    expect([link.ended, stage.connection.renewed]).toEqual(['cancelled', 1]);
    expect(stage.reported()).toEqual([
      "away: no hello within 5000 ms; a Link's first frame must be BackendHello",
    ]);
    await stage.advance(200);
    expect(stage.connection.links).toBe(2);
    stage.connection.link.hello();
    await stage.advance(60_000);
    expect(stage.endpoint.condition).toBe('link');
  });

  test('that cannot be reached says why, once, and is tried again for ever', async () => {
    const stage = await start();
    for (let n = 1; n <= 20; n++) {
      expect(stage.connection.links).toBe(n);
      const why = 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1';
      stage.connection.link.fail(status.UNAVAILABLE, why);
      while (stage.connection.links === n) await stage.advance(100);
    }
    const why = 'nothing listens there: start the backend, or correct its address';
    expect(stage.reported()).toEqual([`away: ${why}`]);
  });
});

describe('a link that is lost', () => {
  test('is away before its calls fail, and is opened again', async () => {
    const stage = await linked();
    const call = request();
    let condition = '';
    call.fail = ({ reason }) => {
      condition = `${stage.endpoint.condition} ${reason}`;
    };
    stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
    await turn();
    expect([stage.connection.link.kinds, stage.endpoint.inFlight]).toEqual([
      ['hello', 'request'],
      1,
    ]);
    stage.connection.lose();
    expect([condition, stage.endpoint.inFlight]).toEqual(['away BACKEND_AWAY', 0]);
    await stage.advance(200);
    stage.connection.link.hello('two');
    expect(stage.reported().slice(1)).toEqual([
      'away: the connection was lost',
      'link: connected to instance two',
    ]);
  });

  test('answers nothing that came on it, even if it is cancelled late', async () => {
    const stage = await linked();
    const { link } = stage.connection;
    stage.connection.lose();
    await stage.advance(200);
    link.hello('late');
    stage.connection.link.hello('two');
    expect(stage.endpoint.instance).toBe('two');
  });

  test('though it looks open is found out by its silence', async () => {
    const stage = await linked(30_000);
    const call = request();
    stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
    for (let n = 0; n < 10; n++) {
      stage.connection.heard++;
      await stage.advance(4_000);
    }
    expect([stage.connection.asked, call.ends]).toEqual([0, []]);
    await stage.advance(31_000);
    expect([stage.connection.asked, stage.connection.renewed]).toEqual([2, 1]);
    expect(call.ends).toEqual(['fail BACKEND_AWAY']);
    expect(stage.reported()).toContain(
      'away: nothing came for 30 s (dead_after) although it was asked',
    );
  });
});

describe('a backend without a Link', () => {
  test('is called by Handle, and asked for a Link again when its connection is lost', async () => {
    const stage = await handling();
    const { connection } = stage;
    expect([stage.reported(), stage.endpoint.transport.keepsOrder]).toEqual([
      ['handle: the backend has no Link; Handle is called instead'],
      false,
    ]);
    const call = request();
    stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
    connection.waiting('Handle')[0]!.answer();
    expect(call.ends).toEqual(['succeed']);
    await stage.advance(60_000);
    expect(connection.links).toBe(1);
    connection.become('idle');
    await stage.advance(150);
    expect([connection.links, stage.endpoint.welcomes]).toEqual([2, true]);
    // Until the Link is there, Handle is called.
    stage.endpoint.transport.carrier.request(request(), Buffer.alloc(0));
    expect(connection.waiting('Handle')).toHaveLength(1);
    connection.become('ready');
    connection.link.hello();
    stage.endpoint.transport.carrier.request(request(), Buffer.alloc(0));
    await turn();
    expect(connection.link.kinds).toEqual(['hello', 'request']);
    expect([stage.endpoint.condition, stage.endpoint.inFlight]).toEqual(['link', 2]);
  });

  test('is away when a call finds no connection, and not when one is refused on a connection that is there', async () => {
    const stage = await handling();
    const call = (): void => {
      stage.endpoint.transport.carrier.request(request(), Buffer.alloc(0));
      stage.connection.waiting('Handle')[0]!.fail(status.UNAVAILABLE, 'no more');
    };
    call();
    expect(stage.endpoint.condition).toBe('handle');
    stage.connection.become('failing');
    call();
    expect([stage.endpoint.condition, stage.endpoint.transport.keepsOrder]).toEqual(['away', true]);
    await stage.advance(200);
    expect(stage.connection.links).toBe(2);
  });

  test('that is away while a Link is tried is tried anew, and the first one does not count any more', async () => {
    const stage = await handling();
    stage.connection.become('failing');
    await stage.advance(150);
    const first = stage.connection.link;
    stage.endpoint.transport.carrier.request(request(), Buffer.alloc(0));
    stage.connection.waiting('Handle')[0]!.fail(status.UNAVAILABLE, 'nothing there');
    expect([stage.endpoint.condition, first.ended]).toEqual(['away', '']);
    await stage.advance(200);
    expect([stage.connection.links, first.ended]).toEqual([3, 'cancelled']);
    stage.connection.become('ready');
    stage.connection.link.hello();
    await stage.advance(60_000);
    expect([stage.endpoint.condition, stage.connection.links]).toEqual(['link', 3]);
    expect(stage.reported().join()).not.toContain('tried again');
  });
});

describe('the end of a session', () => {
  test('is told on the link, or by Closed, or not at all', async () => {
    const event = Buffer.from([0x12, 0x01, 0x78]);
    const away = await start();
    away.endpoint.transport.tell('closed', event);
    await turn();
    expect([away.connection.link.kinds, away.connection.calls]).toEqual([['hello'], []]);
    const byLink = await linked();
    byLink.endpoint.transport.tell('closed', event);
    await turn();
    expect(byLink.connection.link.frames[1]).toMatchObject({ closed: { reason: 'x' } });
    const byHandle = await handling();
    byHandle.endpoint.transport.tell('closed', event);
    expect(byHandle.connection.waiting('Closed').map(({ message }) => message)).toEqual([event]);
  });
});

describe('a stop', () => {
  test('waits for the backend to end its side', async () => {
    const stage = await linked();
    const { link } = stage.connection;
    let isClosed = false;
    const closed = stage.pool.close(60_000, 'stopping').then(() => {
      isClosed = true;
    });
    await turn();
    expect([link.frames.at(-1), link.ended, isClosed]).toMatchObject([
      { goaway: { reason: 'stopping' } },
      'half',
      false,
    ]);
    link.finish();
    await closed;
    expect([link.ended, stage.wheel.size]).toEqual(['over', 0]);
  });

  test('is over after 2 s if the backend never ends it, and nothing of it goes on', async () => {
    const stage = await linked(30_000);
    const call = request();
    stage.endpoint.transport.carrier.request(call, Buffer.alloc(0));
    const closed = stage.pool.close(60_000, 'stopping');
    await stage.advance(1_900);
    expect(stage.connection.link.ended).toBe('half');
    await stage.advance(200);
    await closed;
    expect([stage.connection.link.ended, call.ends]).toEqual(['cancelled', ['fail BACKEND_AWAY']]);
    await stage.advance(60_000);
    expect([stage.connection.links, stage.wheel.size]).toEqual([1, 0]);
  });

  test('waits for Closed calls of a backend without a Link', async () => {
    const stage = await handling();
    stage.endpoint.transport.tell('closed', Buffer.alloc(0));
    let isClosed = false;
    const closed = stage.pool.close(60_000, 'stopping').then(() => {
      isClosed = true;
    });
    await turn();
    expect(isClosed).toBe(false);
    stage.connection.waiting('Closed')[0]!.answer();
    await closed;
    expect(stage.wheel.size).toBe(0);
  });

  test('in a hurry cuts the link off', async () => {
    const stage = await linked();
    const closed = stage.pool.close(1_000, 'stopping');
    await stage.advance(1_100);
    await closed;
    expect([stage.connection.link.ended, stage.wheel.size]).toEqual(['cancelled', 0]);
  });

  test('while a hello is awaited does not wait for it', async () => {
    const stage = await start();
    const { link } = stage.connection;
    await stage.advance(4_000);
    const closed = stage.pool.close(60_000, 'stopping');
    await stage.advance(1_500);
    expect([link.ended, stage.connection.renewed]).toEqual(['half', 0]);
    link.finish();
    await closed;
    expect([stage.connection.links, stage.wheel.size]).toEqual([1, 0]);
  });
});

describe('a backend that says goaway', () => {
  test('and ends its side is connected to again', async () => {
    const stage = await linked();
    const { link } = stage.connection;
    link.send({ goaway: { reason: 'an update' } });
    await stage.advance(40);
    expect([link.kinds.at(-1), link.ended]).toEqual(['goaway', 'half']);
    link.finish();
    await stage.advance(2_100);
    stage.connection.link.hello();
    expect(stage.reported()).toEqual([
      'link: connected to instance one',
      'leaving: goaway: an update',
      'away: the backend ended the link',
      'link: connected to instance one',
    ]);
    expect(stage.connection.links).toBe(2);
  });

  test('and never ends its side loses the link, and is connected to again', async () => {
    const stage = await linked();
    const { link } = stage.connection;
    link.send({ goaway: { reason: 'an update' } });
    await stage.advance(1_900);
    expect([link.ended, stage.endpoint.condition]).toEqual(['half', 'leaving']);
    await stage.advance(200);
    expect(link.ended).toBe('cancelled');
    await stage.advance(100);
    stage.connection.link.hello();
    expect(stage.reported().slice(2)).toEqual([
      'away: the backend did not end the link within 2000 ms of our goaway',
      'link: connected to instance one',
    ]);
    expect(stage.endpoint.welcomes).toBe(true);
  });
});

describe('a goaway of HTTP/2', () => {
  test('on the connection of a link has another opened', async () => {
    const stage = await linked();
    const health = stage.connection.streams.at(-1)!;
    expect([health.path, health.ended]).toEqual(['/grpc.health.v1.Health/Watch', '']);
    stage.connection.owner.http2Goaway('max_age');
    expect(health.ended).toBe('cancelled');
    await stage.advance(1_100);
    expect(stage.connections).toHaveLength(2);
    stage.connection.link.hello();
    await stage.advance(100);
    expect(stage.connections[0]!.link.kinds.at(-1)).toBe('goaway');
  });

  test('on one where a link is tried beside Handle, in vain, says nothing of the next one', async () => {
    const stage = await handling();
    const { connection } = stage;
    connection.become('idle');
    await stage.advance(150);
    connection.become('ready');
    connection.owner.http2Goaway('max_age');
    connection.become('idle');
    connection.link.fail(status.UNIMPLEMENTED, 'no Link');
    await stage.advance(150);
    expect(connection.links).toBe(3);
    connection.become('ready');
    connection.link.hello();
    await stage.advance(60_000);
    expect(stage.endpoint.condition).toBe('link');
    expect(stage.connections).toHaveLength(1);
  });
});
