/** Control's answers as bytes, written by the contract's codec, over gRPC and HTTP alike. */
import { isUtf8 } from 'node:buffer';

import type {
  GroupOutcome,
  GroupsOutcome,
  KickOutcome,
  PresenceOutcome,
  SessionsOutcome,
} from '../bus/fleet-commands.ts';
import type { Group } from '../bus/group-pages.ts';
import type { Json, JsonObject } from '../contract/commands.ts';
import { encodeSession } from '../contract/gateway-frames.ts';
import type { SessionJson } from '../contract/json-shapes.ts';
import { encodeMs, WireWriter } from '../contract/protobuf-wire.ts';
import { type Clock, nextTurn } from '../clock.ts';
import { type Failure, isFailure } from '../errors.ts';
import { doubleOf, isRawNumber } from '../protocol/exact-json.ts';
import type {
  DrainProgress,
  Explained,
  Info,
  ReloadOutcome,
  WorkerFacts,
} from './gateway-methods.ts';
import { messageFrom } from './message-from.ts';

export function kickResult({ closed, gateways, silentGateways }: KickOutcome): Buffer {
  const writer = new WireWriter();
  writer.uint(1, closed);
  writer.uint(2, gateways);
  writer.strings(3, silentGateways);
  return writer.take();
}

export function groupResult(outcome: GroupOutcome): Buffer {
  const writer = new WireWriter();
  writer.uint(1, outcome.changed);
  writer.uint(2, outcome.gateways);
  writer.strings(3, outcome.silentGateways);
  writer.uint(4, outcome.refused);
  return writer.take();
}

export function presenceMessage({ users, gateways, silentGateways }: PresenceOutcome): Buffer {
  const writer = new WireWriter();
  for (const [uid, { sessions, entries }] of users) {
    const presence = new WireWriter();
    presence.uint(1, sessions);
    for (const { sid } of entries) presence.text(2, sid);
    for (const { sid, gateway, boundAtWall } of entries) {
      const entry = new WireWriter();
      entry.string(1, sid);
      entry.string(2, gateway);
      if (boundAtWall > 0) entry.bytes(3, encodeMs(boundAtWall));
      presence.bytes(3, entry.take());
    }
    const pair = new WireWriter();
    pair.text(1, uid);
    pair.bytes(2, presence.take());
    writer.bytes(1, pair.take());
  }
  writer.strings(2, silentGateways);
  writer.uint(3, gateways);
  return writer.take();
}

/** A page of groups, each a message; and what else there is to say, in one more. */
export function* groupMessages(outcome: GroupsOutcome): Generator<Buffer> {
  const { groups, more, silentGateways } = outcome;
  for (const group of groups) yield groupMessage(group);
  if (!more && silentGateways.length === 0) return;
  const writer = new WireWriter();
  writer.string(4, nextGroups(outcome));
  writer.strings(5, silentGateways);
  yield writer.take();
}

function groupMessage({ name, sessions, gateways }: Group): Buffer {
  const writer = new WireWriter();
  writer.string(1, name);
  writer.uint(2, sessions);
  writer.uint(3, gateways);
  return writer.take();
}

function nextGroups({ groups, more }: GroupsOutcome): string {
  return more ? (groups.at(-1)?.name ?? '') : '';
}

/** The same in one message. */
export function groupPage(outcome: GroupsOutcome): Buffer {
  const writer = new WireWriter();
  for (const group of outcome.groups) writer.bytes(1, groupMessage(group));
  writer.string(2, nextGroups(outcome));
  writer.strings(3, outcome.silentGateways);
  return writer.take();
}

/** Sessions that are encoded in one turn of the event loop: about 4 ms. */
const SESSIONS_PER_TURN = 250;

/** Sessions, each a message. The last one says what is missing; only if there is none, one more does. */
export async function* sessionMessages(
  pages: AsyncIterable<SessionsOutcome>,
  clock: Clock,
): AsyncGenerator<Buffer> {
  const silentGateways = new Set<string>();
  let last: SessionJson | null = null;
  let isMore = false;
  let n = 0;
  for await (const page of pages) {
    for (const session of page.sessions) {
      if (last !== null) yield sessionMessage(last);
      last = session;
      if (++n % SESSIONS_PER_TURN === 0) await nextTurn(clock);
    }
    for (const gateway of page.silentGateways) silentGateways.add(gateway);
    isMore = page.more;
  }
  const rest = restOf(isMore ? (last?.sid ?? '') : '', [...silentGateways]);
  if (last !== null) yield Buffer.concat([sessionMessage(last), rest]);
  else if (rest.length > 0) yield rest;
}

/** A Session with nothing but that; empty: nothing is missing. */
function restOf(nextPage: string, silentGateways: readonly string[]): Buffer {
  const rest = new WireWriter();
  rest.string(1, nextPage);
  rest.strings(2, silentGateways);
  const bytes = rest.take();
  const session = new WireWriter();
  if (bytes.length > 0) session.bytes(16, bytes);
  return session.take();
}

/** As many sessions as fit, but at least one. */
export async function sessionPage(
  outcome: SessionsOutcome,
  bytesMax: number,
  clock: Clock,
): Promise<Buffer> {
  const writer = new WireWriter();
  let { more } = outcome;
  let last = '';
  let bytes = 0;
  for (const [i, session] of outcome.sessions.entries()) {
    if (i > 0 && i % SESSIONS_PER_TURN === 0) await nextTurn(clock);
    bytes += Buffer.byteLength(JSON.stringify(session));
    if (bytes > bytesMax && last !== '') {
      more = true;
      break;
    }
    writer.bytes(1, sessionMessage(session));
    last = session.sid;
  }
  if (more) writer.string(2, last);
  writer.strings(3, outcome.silentGateways);
  return writer.take();
}

/** A Reply: the backend's answer, nothing for a notify, or why there is none. */
export function replyMessage(answer: Uint8Array | Failure, notify: boolean): Buffer {
  const writer = new WireWriter();
  if (isFailure(answer)) writer.bytes(2, errorMessage(answer));
  else if (!notify) writer.bytes(1, bodyMessage(answer));
  return writer.take();
}

/** As text where it is text: that is what people and grpcurl can read. */
function bodyMessage(body: Uint8Array): Buffer {
  const writer = new WireWriter();
  writer.bytes(isUtf8(body) ? 3 : 1, body);
  return writer.take();
}

function errorMessage({ code, reason, message, retryAfterMs, fields, body }: Failure): Buffer {
  const writer = new WireWriter();
  writer.int32(1, code);
  writer.string(2, reason);
  writer.string(3, message.toWellFormed());
  if (retryAfterMs > 0) writer.bytes(4, encodeMs(retryAfterMs));
  for (const [path, problem] of Object.entries(fields ?? {})) {
    const entry = new WireWriter();
    entry.text(1, path.toWellFormed());
    entry.text(2, problem.toWellFormed());
    writer.bytes(5, entry.take());
  }
  if (body !== null) writer.bytes(6, bodyMessage(body));
  return writer.take();
}

export function explainedMessage({ rule, backend, address, steps }: Explained): Buffer {
  const writer = new WireWriter();
  writer.string(1, rule);
  writer.string(2, backend);
  writer.string(3, address);
  writer.strings(4, steps);
  return writer.take();
}

export function drainMessage({ state, remaining, forced }: DrainProgress): Buffer {
  const writer = new WireWriter();
  writer.string(1, state);
  writer.uint(2, remaining);
  writer.uint(3, forced);
  return writer.take();
}

export function configMessage(yaml: string): Buffer {
  const writer = new WireWriter();
  writer.string(1, yaml);
  return writer.take();
}

export function reloadMessage({ changed, needsRestart, errors }: ReloadOutcome): Buffer {
  const writer = new WireWriter();
  writer.strings(1, changed);
  writer.strings(2, needsRestart);
  writer.strings(3, errors);
  return writer.take();
}

/** A piece of a profile. @param name '': it was named before. */
export function pieceMessage(name: string, data: Buffer | null): Buffer {
  const writer = new WireWriter((data?.length ?? 0) + 256);
  writer.string(1, name);
  if (data !== null) writer.bytes(2, data);
  return writer.take();
}

export function infoMessage(info: Info, workers: readonly WorkerFacts[]): Buffer {
  const writer = new WireWriter();
  writer.string(1, info.gateway);
  writer.string(2, info.version);
  writer.string(3, info.state);
  writer.uint(4, info.sessions);
  writer.string(5, info.bus);
  for (const { name, kind, addresses, healthy, inFlight } of info.backends) {
    const backend = new WireWriter();
    backend.string(1, name);
    backend.string(2, kind);
    backend.uint(3, addresses);
    backend.uint(4, healthy);
    backend.uint(5, inFlight);
    writer.bytes(6, backend.take());
  }
  writer.bytes(7, encodeMs(info.uptimeMs));
  writer.bool(8, info.maintenance);
  writer.string(9, info.logLevel);
  if (info.logLevelUntilWall > 0) writer.bytes(10, encodeMs(info.logLevelUntilWall));
  writer.uint(11, workers.find(({ gateway }) => gateway === info.gateway)?.worker ?? 0);
  for (const { worker, gateway, state, sessions, pid } of workers) {
    const one = new WireWriter();
    one.uint(1, worker);
    one.string(2, gateway);
    one.string(3, state);
    one.uint(4, sessions);
    one.uint(5, pid);
    writer.bytes(12, one.take());
  }
  return writer.take();
}

export function sessionMessage(session: SessionJson): Buffer {
  const facts = {
    ...session,
    gatewayId: session.gateway,
    remoteIp: session.remote_ip,
    clientType: session.client_type,
    clientVersion: session.client_version,
    openedAtWall: Date.parse(session.opened_at),
    boundAtWall: session.bound_at === undefined ? 0 : Date.parse(session.bound_at),
    version: Number(session.version),
    connection: { transport: session.transport },
  };
  const message = encodeSession(facts, shown(session.data) as JsonObject, session.groups);
  const stats = session.stats === undefined ? null : messageFrom('SessionStats', session.stats);
  if (stats === null) return message;
  const writer = new WireWriter();
  writer.bytes(14, stats);
  return Buffer.concat([message, writer.take()]);
}

/**
 * A value as a Struct can hold it: a number that is not exact as a double becomes a string of its digits, like 64-bit
 * integers; an unpaired surrogate, which JSON allows and protobuf does not, becomes U+FFFD.
 */
function shown(value: Json): Json {
  if (typeof value === 'string') return value.toWellFormed();
  if (isRawNumber(value)) return doubleOf(value.rawJSON) ?? value.rawJSON;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(shown);
  const object = Object.create(null) as JsonObject;
  for (const key of Object.keys(value)) object[key.toWellFormed()] = shown(value[key]!);
  return object;
}
