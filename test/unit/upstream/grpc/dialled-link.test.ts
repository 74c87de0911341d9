/** An address with a Link: what it does when the backend, or its connection, goes, says nothing or has no Link. */
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';

import { DialledLink } from '../../../../src/upstream/grpc/dialled-link.ts';
import { GrpcStage } from './grpc-stage.ts';

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
    stage.connection.owner.http2Goaway('max_age');
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
