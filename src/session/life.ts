/** A session that goes on in another process: what it is made of there, and how it leaves here. */
import type { KeyObject } from 'node:crypto';

import type { Encoded } from '../protocol/packet.ts';
import type { ClientReader } from './client-reader.ts';
import type { FrozenBucket, FrozenClient, FrozenSession } from './frozen.ts';
import type { SessionParts } from './session-parts.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** What a session keeps to itself. */
export type Life = {
  readonly state: State;
  readonly greeted: boolean;
  readonly reader: ClientReader;
  readonly parts: SessionParts;
};

/** What others keep of a session, by whom it is handed over, too. */
type Elsewhere = 'publicKey' | 'resuming' | 'lanes';

/**
 * Why it cannot move now; null: nothing of it is on its way. Its connection must have stopped before it is frozen.
 */
export function whyNotMovable(session: Session): string | null {
  session.catchUp();
  const { connection, state, inFlight, outbox, readGate, lanes, deltas, kept, life } = session;
  if (state === 'closed' || state === 'draining') return 'it is about to end';
  if (!connection.movable) return 'only plain TCP and WebSocket can move';
  if (inFlight > 0) return 'a request has no answer yet';
  if (lanes.some((lane) => !lane.isQuiet || lane.isAwaitingReceipt))
    return 'a message is on its way to its backend';
  if (outbox.unsentBytes > 0) return 'its client has not taken all that it was sent';
  if (state === 'active' && outbox.isCorked) return 'a change waits for the bus';
  if (!readGate.isReading || readGate.isWaiting) return 'it is not read from';
  if (connection.assembling) return 'a WebSocket message is not whole';
  if (life.parts.auth.isAsking?.(session)) return 'its backend is asked about it';
  if (deltas !== null && !deltas.isAtRest) return 'a snapshot of a group is awaited';
  if (kept !== null && kept.catchUp !== null) return 'kept pushes are being read for it';
  return null;
}

/** What does not change of it. */
export function clientOf(session: Session): FrozenClient {
  return {
    n: session.n,
    listener: session.life.parts.listener ?? 0,
    transport: session.connection.transport as 'ws' | 'tcp',
    remoteIp: session.remoteIp,
    openedAtWall: session.openedAtWall,
  };
}

/** What this part of the program knows of it. */
export function freezeSession(session: Session, now: number): Omit<FrozenSession, Elsewhere> {
  const { connection, kept, groupEnds, life } = session;
  const { seq, isOwn, since, tellsCursor } = kept ?? {};
  return {
    ...clientOf(session),
    state: life.state as FrozenSession['state'],
    greeted: life.greeted,
    profile: session.wire.profile,
    clientType: session.clientType,
    clientVersion: session.clientVersion,
    uid: session.uid,
    boundAtWall: session.boundAtWall,
    data: session.data,
    groups: [...session.groups].map((name) => ({
      name,
      leftMs: finiteOr(groupEnds?.leftMs(name) ?? Infinity),
    })),
    version: session.version,
    kept: kept && { seq: seq!, isOwn: isOwn!, since: since!, tellsCursor: tellsCursor! },
    deltas: session.deltas?.freeze(now) ?? null,
    roundTripMs: session.roundTripMs,
    isAnnounced: session.isAnnounced,
    seq: session.seq,
    malformed: session.malformed,
    bucket: freezeBucket(session, now),
    buckets: [...(session.rates ?? [])].map(([match, bucket]) => ({
      match,
      ...freezeBucket(bucket, now)!,
    })),
    deadlines: session.deadlines.freeze(),
    auth: life.parts.auth.freeze?.(session) ?? null,
    sent: session.outbox.sent,
    readBytes: connection.readBytes,
    sentBytes: connection.sentBytes,
    held: life.reader.held.toString('base64'),
  };
}

/**
 * Makes a new session what it was elsewhere, as far as that is its own: who it is, its groups and its token are for those
 * who keep account of them. Nobody is told, and nothing is sent.
 */
export function thawSession(
  session: Session,
  frozen: FrozenSession,
  { now, publicKey }: { readonly now: number; readonly publicKey: KeyObject | null },
): void {
  session.openedAt = now - frozen.deadlines.openedMs;
  session.wire = session.listenerDialect.wireNamed(frozen.profile)!;
  session.publicKey = publicKey;
  session.clientType = frozen.clientType;
  session.clientVersion = frozen.clientVersion;
  Object.assign(session.data, frozen.data);
  session.version = frozen.version;
  session.kept = frozen.kept && { ...frozen.kept, catchUp: null };
  session.roundTripMs = frozen.roundTripMs;
  session.isAnnounced = frozen.isAnnounced;
  session.seq = frozen.seq;
  session.malformed = frozen.malformed;
  if (frozen.bucket !== null) Object.assign(session, thawBucket(frozen.bucket, now));
  if (frozen.buckets.length > 0)
    session.rates = new Map(frozen.buckets.map((one) => [one.match, thawBucket(one, now)]));
  session.outbox.sent = frozen.sent;
  session.life = frozen;
  session.deadlines.thaw(frozen.deadlines);
  if (frozen.state === 'active') session.outbox.uncork();
  const held = Buffer.from(frozen.held, 'base64');
  if (held.length > 0) session.life.reader.push(held);
  if (frozen.auth !== null) session.life.parts.auth.thaw?.(session, frozen.auth);
  if (session.watching.isOn) session.watching.consider(session);
}

/** It goes on elsewhere: nothing more is done for it here, and nobody is told of an end. */
export function leaveSession(session: Session): void {
  const { parts, reader } = session.life;
  const { auth } = parts;
  reader.end();
  session.life = { state: 'closed', greeted: true };
  session.deadlines.stop();
  session.readGate.leave();
  session.groupEnds?.clear();
  session.deltas?.clear();
  auth.onClosed(session, 'draining');
  session.outbox.end();
  session.connection.movable?.letGo();
}

/** [protocol.md 3.4] Clients know a kick from the answer to their handshake on; Pomelo waits for the ack as well. */
export function kickFor(
  session: Session,
  body: Readonly<Record<string, unknown>> | null,
): Encoded | null {
  const { state, listenerDialect, watchers, watching } = session;
  const kick = body === null || state === 'opening' ? null : listenerDialect.kick(body);
  if (kick !== null && watchers !== 0) watching.went(session, 'kick');
  return kick;
}

type Bucket = { tokens: number; tokensAt: number };

function freezeBucket({ tokens, tokensAt }: Bucket, now: number): FrozenBucket | null {
  return Number.isNaN(tokens) ? null : { tokens, agoMs: now - tokensAt };
}

function thawBucket({ tokens, agoMs }: FrozenBucket, now: number): Bucket {
  return { tokens, tokensAt: now - agoMs };
}

function finiteOr(ms: number): number | null {
  return ms === Infinity ? null : ms;
}
