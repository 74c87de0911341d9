/** The cells of the matrix: one test for each thing that a client of a row can do. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Cursor, type Package, PackageType } from '../families/wire.ts';
import type { TestClient } from '../support/client.ts';
import { control, loadNpm } from '../support/npm-clients.ts';
import { COLUMNS, type Column, type Row, rowOf } from './matrix.ts';
import {
  type Arena,
  CLIENT_PROTOS,
  DICTIONARY,
  type Kind,
  SERVER_PROTOS,
  startArena,
} from './matrix-arena.ts';
import { tap, type Tap } from './tap.ts';

/** Where a client connects. `ca`: by TLS, with a certificate for localhost of this authority. */
export type Place = { readonly port: number; readonly ca?: string };

/** A client at work, whichever it is. */
export interface Driver extends AsyncDisposable {
  /** Asks and waits; the body of the answer. */
  request(route: string, body: object): Promise<unknown>;
  /** The body of the error that answers a request. */
  refusal(route: string, body: object): Promise<unknown>;
  notify(route: string, body: object): Promise<void>;
  /** The body of the `n`th push of a route; the first is 0. */
  push(route: string, n?: number): Promise<unknown>;
  /** What the application is told of a kick; undefined where it is not told why. */
  kicked(): Promise<unknown>;
}

export type Open = (place: Place) => Promise<Driver>;

const START_MS = 600_000;
const BEATS = 3;

const CJK = '你好，世界 — 안녕하세요 こんにちは é';
const EMOJI = '😀 👨‍👩‍👧';
/** Characters beyond the first of the planes that need four bytes. */
const RARE = '𠮷';

let names = 0;

type Scene = {
  readonly row: Row;
  readonly arena: Arena;
  readonly driver: Driver;
  readonly tap: Tap;
  /** Of this test alone: the driver's user and the room. */
  readonly name: string;
  readonly room: string;
};

/**
 * All cells of a row, side by side unless they are many processes' worth of work. Instead of `open`, why the row's client
 * is not on this machine.
 */
export function describeRow(id: string, open: Open | string, concurrent = true): void {
  const row = rowOf(id);
  const columns = COLUMNS.filter((column) => row.lacks[column] === undefined);
  describe(`${row.client}, ${row.dialect}, ${row.transport}`, { concurrent }, () => {
    let arena: Arena;
    beforeAll(async () => {
      arena = await sharedArena();
    }, START_MS);

    test.for(columns)('%s', async (column, ctx) => {
      ctx.task.meta.cell = { row: id, column };
      if (typeof open === 'string') ctx.skip(open);
      else if (column === 'TLS') await expectOverTls(row, arena, open);
      else await expectCell(row, arena, open, column);
    });
  });
}

let shared: Promise<Arena> | undefined;

/** One for the file. */
function sharedArena(): Promise<Arena> {
  shared ??= startArena();
  return shared;
}

afterAll(async () => {
  await (await shared)?.[Symbol.asyncDispose]();
  shared = undefined;
});

const CELLS: Readonly<Record<Exclude<Column, 'TLS'>, (scene: Scene) => Promise<void>>> = {
  async request({ driver, name, room }) {
    expect(await driver.request('chat.room.join', { name, room })).toEqual({ code: 200, room });
    expect(await driver.request('chat.room.send', { text: 'hi' })).toEqual({ code: 200 });
  },

  async notify(scene) {
    await using observer = await meet(scene);
    await scene.driver.notify('chat.room.send', { text: 'by notify' });
    expect(await observer.push('onChat')).toEqual({ from: scene.name, text: 'by notify' });
  },

  async push(scene) {
    await using observer = await meet(scene);
    for (const text of ['one', 'two']) await observer.request('chat.room.send', { text });
    const from = `observer of ${scene.room}`;
    expect(await scene.driver.push('onChat', 0)).toEqual({ from, text: 'one' });
    expect(await scene.driver.push('onChat', 1)).toEqual({ from, text: 'two' });
  },

  async error({ row, driver, name, room }) {
    const msg = 'no such route: chat.room.nope';
    const expected =
      row.dialect === 'pitaya'
        ? { code: 'PIT-404', msg, metadata: { reason: 'NO_ROUTE' } }
        : { code: 404, reason: 'NO_ROUTE', msg };
    expect(await driver.refusal('chat.room.nope', {})).toEqual(expected);
    expect(await driver.request('chat.room.join', { name, room })).toEqual({ code: 200, room });
  },

  async kick({ row, arena, driver, tap: line, name, room }) {
    await driver.request('chat.room.join', { name, room });
    const close = { reason: '违规 😀', code: 4_003 };
    const request = { target: { uids: [name] }, close };
    expect(await control(arena.gateway.controlPort, 'Kick', request)).toMatchObject({ closed: 1 });
    expect(await driver.kicked()).toEqual(row.hearsWhy === false ? undefined : close);
    await line.ended;
    if (row.dialect === 'json') return;
    expect(line.received.filter(({ type }) => type === PackageType.KICK)).toHaveLength(1);
  },

  /** Each has let its own limit go by: the gateway's is two intervals, no client's is more than that. */
  async heartbeat({ driver, tap: line, name, room }) {
    await driver.request('chat.room.join', { name, room });
    const beats = (): number => line.beats();
    await expect.poll(beats).toBeGreaterThanOrEqual(BEATS);
    expect(await driver.request('chat.room.send', { text: 'alive' })).toEqual({ code: 200 });
  },

  async dictionary(scene) {
    const { sends = true, gets = true } = scene.row.codes ?? {};
    await using observer = await meet(scene);
    await scene.driver.request('chat.room.send', { text: 'by code' });
    await observer.push('onChat');
    await observer.request('chat.room.send', { text: 'to code' });
    expect(await scene.driver.push('onChat')).toMatchObject({ text: 'to code' });
    const sent = scene.tap.sent.filter(isData).map(headOf);
    expect(sent.map(({ route }) => route)).toEqual(
      ['chat.room.join', 'chat.room.send'].map((route) => coded(route, sends)),
    );
    const pushed = scene.tap.received.filter(isData).map(headOf).filter(isPush);
    expect(pushed.map(({ route }) => route)).toEqual([coded('onChat', gets)]);
  },

  async protobuf(scene) {
    const { sends = true, answers = true, gets = true } = scene.row.protobuf ?? {};
    const text = `${CJK} ${EMOJI}`;
    await using observer = await meet(scene);
    expect(await scene.driver.request('chat.room.send', { text })).toEqual({ code: 200 });
    expect(await observer.push('onChat')).toEqual({ from: scene.name, text });
    await observer.request('chat.room.send', { text });
    const from = `observer of ${scene.room}`;
    expect(await scene.driver.push('onChat')).toEqual({ from, text });
    const sent = scene.tap.sent.filter(isData).map(headOf);
    const [push] = scene.tap.received.filter(isData).map(headOf).filter(isPush);
    const answer = scene.tap.received
      .filter(isData)
      .map(headOf)
      .findLast((one) => !isPush(one));
    expect(isProtobuf(sent.at(-1)!.body, 'client', 'chat.room.send')).toBe(sends);
    expect(isProtobuf(answer!.body, 'server', 'chat.room.send')).toBe(answers);
    expect(isProtobuf(push!.body, 'server', 'onChat')).toBe(gets);
  },

  CJK: (scene) => talk(scene, CJK),

  emoji: (scene) => talk(scene, `${EMOJI} ${RARE}`),
};

/** The kind of listener that a feature needs. */
const KIND: Partial<Record<Column, Kind>> = {
  heartbeat: 'beating',
  dictionary: 'dictionary',
  protobuf: 'protobuf',
};

async function expectCell(
  row: Row,
  arena: Arena,
  open: Open,
  column: Exclude<Column, 'TLS'>,
): Promise<void> {
  await using line = await tap(arena.port(row.dialect, KIND[column] ?? 'plain'));
  await using driver = await open({ port: line.port });
  const n = ++names;
  const name = `${row.id}-${n}`;
  await CELLS[column]({ row, arena, driver, tap: line, name, room: `room-${row.id}-${n}` });
}

async function expectOverTls(row: Row, arena: Arena, open: Open): Promise<void> {
  await using driver = await open({ port: arena.port(row.dialect, 'tls'), ca: arena.ca });
  const [name, room] = [`tls-${row.id}`, `tls-${row.id}`];
  expect(await driver.request('chat.room.join', { name, room })).toEqual({ code: 200, room });
}

/** The observer comes first, so that the client hears nothing of it. */
async function meet({ arena, driver, name, room }: Scene): Promise<TestClient> {
  const observer = await arena.observer(`observer of ${room}`, room);
  await driver.request('chat.room.join', { name, room });
  return observer;
}

/** Text goes from the client to another, and back from there. */
async function talk(scene: Scene, text: string): Promise<void> {
  await using observer = await meet(scene);
  await scene.driver.request('chat.room.send', { text });
  expect(await observer.push('onChat')).toEqual({ from: scene.name, text });
  await observer.request('chat.room.send', { text });
  const from = `observer of ${scene.room}`;
  expect(await scene.driver.push('onChat')).toEqual({ from, text });
}

type Head = { readonly type: number; readonly route: string | number; readonly body: Buffer };

function isData({ type }: Package): boolean {
  return type === PackageType.DATA;
}

function isPush({ type }: Head): boolean {
  return type === 3;
}

/** A code is the place in the dictionary, counted from 1. */
function coded(route: string, isCoded: boolean): string | number {
  return isCoded ? DICTIONARY.indexOf(route) + 1 : route;
}

function headOf({ body }: Package): Head {
  const cursor = new Cursor(body);
  const flag = cursor.byte();
  const type = (flag >> 1) & 7;
  if (type === 0 || type === 2) while (cursor.byte() >= 128);
  if (type === 2) return { type, route: '', body: cursor.rest() };
  const route = (flag & 1) === 1 ? cursor.u16() : cursor.take(cursor.byte()).toString();
  return { type, route, body: cursor.rest() };
}

type Protobuf = {
  parse(definitions: object): object;
  init(options: { encoderProtos: object; decoderProtos: object }): void;
  decode(route: string, bytes: Buffer): object;
};

/** Whether the published decoder reads it; JSON it takes for an unknown field. */
function isProtobuf(body: Buffer, side: 'client' | 'server', route: string): boolean {
  const codec = loadNpm<Protobuf>('pomelo-protobuf');
  const protos = codec.parse(side === 'client' ? CLIENT_PROTOS : SERVER_PROTOS);
  codec.init({ encoderProtos: protos, decoderProtos: protos });
  try {
    return Object.keys(codec.decode(route, body)).length > 0;
  } catch {
    return false;
  }
}
