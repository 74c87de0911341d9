/** The messages of pith.v1 as the simulated backends write them: by proto/pith/v1, not by the gateway's code. */
import { WireWriter } from '../../../src/contract/protobuf-wire.ts';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export type PatchShape = {
  /** '' unbinds. */
  readonly uid?: string;
  readonly set?: JsonObject;
  readonly join?: readonly string[];
  readonly leave?: readonly string[];
  /** 0: any. */
  readonly ifVersion?: number;
};

export type TargetShape = {
  readonly sids?: readonly string[];
  readonly uids?: readonly string[];
  readonly groups?: readonly string[];
  readonly all?: boolean;
};

export type PushShape = {
  /** null, in a reply: the session that asked. */
  readonly target: TargetShape | null;
  readonly route: string;
  readonly body: string;
  readonly delivery: 'must' | 'droppable' | 'latest';
  readonly latestKey?: string;
  readonly afterReply?: boolean;
};

export type ErrorShape = {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
};
export type CloseShape = { readonly reason: string; readonly kick: boolean };

export type ReplyShape = {
  readonly outcome: { readonly body: string } | { readonly error: ErrorShape };
  readonly patch?: PatchShape | null;
  readonly pushes?: readonly PushShape[];
  readonly close?: CloseShape | null;
};

export type HelloShape = {
  readonly instance: string;
  readonly version: string;
  readonly features: readonly string[];
  readonly maxInFlight: number;
  /** Of one that attaches. */
  readonly backend?: string;
  readonly token?: string;
};

export type ConnectShape =
  | {
      readonly accept: {
        readonly patch: PatchShape | null;
        readonly user: JsonObject;
        readonly expiresInMs: number;
      };
    }
  | { readonly error: ErrorShape };

/** Field numbers of BackendFrame. */
const FRAME = {
  hello: 2,
  reply: 3,
  connect: 4,
  push: 5,
  verb: 6,
  credit: 7,
  goaway: 8,
  extend: 9,
} as const;
export type FrameKind = keyof typeof FRAME;

const DELIVERY = { must: 0, droppable: 1, latest: 2 } as const;

/** A BackendFrame. */
export function frame(id: number, kind: FrameKind, message: Buffer): Buffer {
  return frameOf(id, FRAME[kind], message);
}

/** @param kind A number that BackendFrame may not have. */
export function frameOf(id: number, kind: number, message: Buffer): Buffer {
  const writer = new WireWriter(message.length + 16);
  writer.uint(1, id);
  writer.bytes(kind, message);
  return writer.take();
}

/** A ToGateway. */
export function toGateway(frames: readonly Buffer[]): Buffer {
  const writer = new WireWriter(frames.reduce((sum, { length }) => sum + length + 6, 0));
  for (const one of frames) writer.bytes(1, one);
  return writer.take();
}

export function hello(shape: HelloShape): Buffer {
  const writer = new WireWriter();
  writer.string(1, shape.instance);
  writer.string(2, shape.version);
  writer.strings(3, shape.features);
  writer.uint(5, shape.maxInFlight);
  writer.string(6, shape.backend ?? '');
  writer.string(7, shape.token ?? '');
  return writer.take();
}

export function reply({ outcome, patch = null, pushes = [], close = null }: ReplyShape): Buffer {
  const writer = new WireWriter();
  if ('body' in outcome) writer.bytes(1, bodyOf(outcome.body));
  else writer.bytes(2, error(outcome.error));
  if (patch !== null) writer.bytes(3, patchOf(patch));
  for (const one of pushes) writer.bytes(4, push(one));
  if (close !== null) writer.bytes(5, closeOf(close));
  return writer.take();
}

export function push(shape: PushShape): Buffer {
  const writer = new WireWriter();
  if (shape.target !== null) writer.bytes(1, targetOf(shape.target));
  writer.string(2, shape.route);
  writer.bytes(3, bodyOf(shape.body));
  writer.uint(4, DELIVERY[shape.delivery]);
  writer.string(5, shape.latestKey ?? '');
  writer.bool(7, shape.afterReply ?? false);
  return writer.take();
}

/** A PushBatch. */
export function pushBatch(pushes: readonly Buffer[]): Buffer {
  return toGateway(pushes);
}

export function verb(
  target: TargetShape,
  what: { patch: PatchShape } | { close: CloseShape },
): Buffer {
  const writer = new WireWriter();
  writer.bytes(1, targetOf(target));
  if ('patch' in what) writer.bytes(2, patchOf(what.patch));
  else writer.bytes(3, closeOf(what.close));
  return writer.take();
}

export function connectResponse(shape: ConnectShape): Buffer {
  const writer = new WireWriter();
  if ('error' in shape) {
    writer.bytes(2, error(shape.error));
    return writer.take();
  }
  const { patch, user, expiresInMs } = shape.accept;
  const accept = new WireWriter();
  if (patch !== null) accept.bytes(1, patchOf(patch));
  accept.bytes(2, struct(user));
  if (expiresInMs > 0) accept.bytes(3, duration(expiresInMs));
  writer.bytes(1, accept.take());
  return writer.take();
}

export function credit(frames: number, bytes: number): Buffer {
  const writer = new WireWriter(16);
  writer.uint(1, frames);
  writer.uint(2, bytes);
  return writer.take();
}

export function goaway(reason: string): Buffer {
  const writer = new WireWriter(64);
  writer.string(1, reason);
  return writer.take();
}

export function extend(ms: number): Buffer {
  const writer = new WireWriter(24);
  writer.bytes(1, duration(ms));
  return writer.take();
}

function duration(ms: number): Buffer {
  const writer = new WireWriter(16);
  writer.uint(1, Math.floor(ms / 1_000));
  writer.uint(2, Math.floor(ms % 1_000) * 1_000_000);
  return writer.take();
}

function bodyOf(text: string): Buffer {
  const writer = new WireWriter(text.length + 16);
  writer.text(1, text);
  return writer.take();
}

function error({ code, reason, message }: ErrorShape): Buffer {
  const writer = new WireWriter();
  writer.int32(1, code);
  writer.string(2, reason);
  writer.string(3, message);
  return writer.take();
}

function patchOf({ uid, set, join = [], leave = [], ifVersion = 0 }: PatchShape): Buffer {
  const writer = new WireWriter();
  if (uid !== undefined) writer.text(1, uid);
  if (set !== undefined) writer.bytes(2, struct(set));
  writer.strings(3, join);
  writer.strings(4, leave);
  writer.uint(5, ifVersion);
  return writer.take();
}

function targetOf({ sids = [], uids = [], groups = [], all = false }: TargetShape): Buffer {
  const writer = new WireWriter();
  writer.strings(1, sids);
  writer.strings(2, uids);
  writer.strings(3, groups);
  writer.bool(4, all);
  return writer.take();
}

function closeOf({ reason, kick }: CloseShape): Buffer {
  const writer = new WireWriter(64);
  writer.string(1, reason);
  writer.bool(3, kick);
  return writer.take();
}

/** google.protobuf.Struct */
export function struct(object: JsonObject): Buffer {
  const writer = new WireWriter();
  for (const [key, value] of Object.entries(object)) {
    const entry = new WireWriter();
    entry.text(1, key);
    entry.bytes(2, valueOf(value));
    writer.bytes(1, entry.take());
  }
  return writer.take();
}

/** google.protobuf.Value */
function valueOf(value: Json): Buffer {
  const writer = new WireWriter(32);
  if (value === null) {
    writer.tag(1, 0);
    writer.varint(0);
  } else if (typeof value === 'number') writer.double(2, value);
  else if (typeof value === 'string') writer.text(3, value);
  else if (typeof value === 'boolean') {
    writer.tag(4, 0);
    writer.varint(value ? 1 : 0);
  } else if (isList(value)) {
    const list = new WireWriter();
    for (const one of value) list.bytes(1, valueOf(one));
    writer.bytes(6, list.take());
  } else writer.bytes(5, struct(value));
  return writer.take();
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
