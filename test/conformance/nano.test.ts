/** Nano's own server as an oracle: its client for browsers hears the same bytes from it and from Pith. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { PackageType, Unpacker } from '../families/wire.ts';
import { skipReason } from './backends.ts';
import { Chromium, findChromium } from './browser/chromium.ts';
import type { Player } from './browser/player.ts';
import { BUILD_MS, buildModule } from './go-module.ts';
import { type Arena, startArena } from './matrix-arena.ts';
import { startNano } from './nano.ts';

const path = findChromium();
const missing = skipReason(['go']) ?? (path === undefined ? 'needs chromium' : undefined);

let launched: Chromium;
let arena: Arena;

beforeAll(async () => {
  if (missing !== undefined) return;
  await buildModule('nano-go');
  launched = await Chromium.launch(path!);
  arena = await startArena();
}, BUILD_MS);

afterAll(async () => {
  if (missing !== undefined) return;
  await launched[Symbol.asyncDispose]();
  await arena[Symbol.asyncDispose]();
});

/** What a client hears that joins, speaks, and is spoken to: every package in hex, but heartbeats. */
async function session(port: number, room: string): Promise<string[]> {
  await using ann = await launched.connect(port, 'starx');
  await using bob = await launched.connect(port, 'starx');
  const text = '你好 안녕 hi';
  await ann.request('chat.room.join', { name: 'ann', room });
  await bob.request('chat.room.join', { name: 'bob', room });
  await ann.event('onJoin');
  await ann.request('chat.room.send', { text });
  await bob.request('chat.room.send', { text });
  await ann.event('onChat');
  return packagesOf(ann);
}

function packagesOf(player: Player): string[] {
  const unpacker = new Unpacker();
  return player.received
    .flatMap((frame) => unpacker.push(frame))
    .filter(({ type }) => type !== PackageType.HEARTBEAT)
    .map(({ type, body }) => `${type} ${body.toString('latin1')}`);
}

/** Later versions of Nano tell the time of the server, as Pith does; this one does not. */
function withoutTime(packages: readonly string[]): string[] {
  return packages.map((one) => one.replace(/,"servertime":\d+/, ''));
}

describe.skipIf(missing !== undefined)('beside Nano', () => {
  test('a client hears the same', async () => {
    await using nano = await startNano();
    const fromNano = await session(nano.port, 'same');
    const fromPith = await session(arena.port('nano', 'plain'), 'same');
    expect(withoutTime(fromPith)).toEqual(fromNano);
  });
});
