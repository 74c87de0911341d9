/** The bounds that a backend, a client or an operator may meet; those that can be set are in the configuration. */
import { describe, expect, test } from 'vitest';

import * as events from '../../src/bus/event-queue.ts';
import { LOST_AFTER_MS } from '../../src/bus/watched-gateways.ts';
import { REPLY_BYTES_MAX, ERROR_TEXT_MAX } from '../../src/bus/replies.ts';
import { ANNOUNCE_MS, STALE_MS } from '../../src/bus/gate.ts';
import { GATEWAYS_MAX } from '../../src/bus/known-gateways.ts';
import { GROUPS_PAGE_MAX } from '../../src/bus/group-pages.ts';
import { PRESENCE_NAMED_MAX, PRESENCE_UIDS_MAX } from '../../src/bus/presence.ts';
import { PUSH_ROUTE_BYTES_MAX } from '../../src/bus/session-commands.ts';
import { readPage } from '../../src/bus/session-pages.ts';
import { ASK_MS_MAX, ASKS_MAX } from '../../src/bus/uid-asks.ts';
import { CLAIMS_AGAIN_MS, GATHER_MS, SESSIONS_PER_UID_MAX } from '../../src/bus/uid-claims.ts';
import * as news from '../../src/bus/lineage-news.ts';
import { LEARN_MS, SUMS_EVERY_MS } from '../../src/bus/order-channel.ts';
import { BLOCKS_PAGE_MAX } from '../../src/control/order-methods.ts';
import { REASON_CHARS_MAX } from '../../src/orders/block.ts';
import * as blocksFile from '../../src/orders/blocks-file.ts';
import { BLOCKS_MAX } from '../../src/orders/orders.ts';
import * as pauses from '../../src/orders/pause-json.ts';
import { ENTRIES_MAX, REMOVED_MS } from '../../src/orders/replica.ts';
import { RESUME_KEYS_MAX } from '../../src/config/resume-keys.ts';
import { ENDED_MAX } from '../../src/resume/ended-lineages.ts';
import { RESUME_WAIT_MS } from '../../src/resume/resume.ts';
import { TOKEN_EVERY_MS } from '../../src/resume/resuming-session.ts';
import { TOKEN_CHARS_MAX } from '../../src/resume/token-box.ts';
import { FLEET_WAIT_MS } from '../../src/bus/fleet-commands.ts';
import { JSON_DEPTH_MAX, JSON_DEPTH_MAX_TO_BACKENDS } from '../../src/contract/json.ts';
import { PUSHES_MAX } from '../../src/contract/protobuf-shapes.ts';
import * as refusals from '../../src/contract/refusal.ts';
import { HELLO_WAIT_MS, NEWCOMERS_MAX } from '../../src/control/attach.ts';
import { API_BODY_BYTES_MAX, API_REQUESTS_MAX } from '../../src/control/json-api.ts';
import * as control from '../../src/control/fleet-methods.ts';
import { CALL_MS_MAX } from '../../src/control/gateway-methods.ts';
import { PUSH_WAIT_MS_MAX, PUSHES_WAITING_MAX } from '../../src/control/push-many.ts';
import { PitayaDialect } from '../../src/dialect/pitaya.ts';
import { failure } from '../../src/errors.ts';
import { PACKET_BODY_BYTES_MAX, packetOffset } from '../../src/protocol/packet.ts';
import * as retries from '../../src/relay/retries.ts';
import { isRoute, RENAMED_BYTES_MAX } from '../../src/routing/route.ts';
import { NAME_BYTES_MAX } from '../../src/session/changes.ts';
import { LATE_DELTAS_MS } from '../../src/session/deltas.ts';
import { SIGN_OF_LIFE_MS } from '../../src/session/signs-of-life.ts';
import { MALFORMED_MAX } from '../../src/session/unreadable.ts';
import { LOG_UNREAD_BYTES_MAX } from '../../src/telemetry/log.ts';
import { HTTP_HEAD_BYTES_MAX } from '../../src/transport/http-refusal.ts';
import { PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX } from '../../src/transport/proxy-header.ts';
import { ATTACH_MESSAGE_BYTES_MAX } from '../../src/upstream/dial-in/attach-stream.ts';
import { ATTACHED_MAX } from '../../src/upstream/dial-in/dial-in-upstream.ts';
import { RECEIVE_BYTES_MAX } from '../../src/upstream/grpc-client/grpc-connection.ts';
import * as ejection from '../../src/upstream/pool/ejection.ts';
import * as inflow from '../../src/upstream/link/receive-window.ts';
import * as link from '../../src/upstream/link/link.ts';
import * as sendWindow from '../../src/upstream/link/send-window.ts';
import { MOVES_PER_SECOND } from '../../src/upstream/pool/rebalance.ts';
import { RESOLVE_EVERY_MS, RESOLVE_SOON_MS } from '../../src/upstream/pool/resolver.ts';
import { CLOSED_IN_FLIGHT_MAX, CLOSED_PAUSE_MS } from '../../src/upstream/http/closed-events.ts';
import { INTERIMS_MAX } from '../../src/upstream/http/exchange.ts';
import {
  HTTP_CONNECTIONS_MAX,
  CONNECTION_MS,
  IDLE_MS,
} from '../../src/upstream/http/http-upstream.ts';
import * as ipc from '../../src/upstream/ipc/ipc-upstream.ts';
import * as ipcConnection from '../../src/upstream/ipc/ipc-connection.ts';
import * as hold from '../../src/upstream/ipc/hold.ts';
import * as ipcLines from '../../src/upstream/ipc/line-reader.ts';
import { PAYLOAD_DEPTH_MAX } from '../../src/upstream/ipc/json-text.ts';
import { SCHEMA_BYTES_MAX, SCHEMA_FILES_MAX } from '../../src/upstream/method/descriptors.ts';
import { FIELD_ERRORS_MAX } from '../../src/upstream/method/json-fields.ts';
import { LOOK_EVERY_MS, REFLECT_EVERY_MS } from '../../src/upstream/method/schema-keeper.ts';
import { LINES_PER_TURN } from '../../src/upstream/ipc/line-socket.ts';
import * as nats from '../../src/upstream/nats/nats-connector.ts';
import {
  SERVED_ROUTES_MAX,
  UNSERVED_MAX,
  UNSERVED_PAUSES_MS,
} from '../../src/upstream/nats/unserved.ts';
import { SUBJECT_BYTES_MAX } from '../../src/upstream/nats/subjects.ts';
import { AGAIN_MS_MAX, AGAIN_MS_MIN } from '../../src/discovery/agent.ts';
import { RETRY_MS_MAX, RETRY_MS_MIN } from '../../src/upstream/reconnect.ts';
import { HEADER_BYTES_MAX, HEADER_LINES_MAX } from '../../src/upstream/nats/header-block.ts';

const KIB = 1_024;
const MIB = 1_048_576;

/** What there is, what it has to be, and what it bounds. */
type Row = readonly [is: number, literal: number, what: string];

// oxfmt-ignore
const LIMITS: Readonly<Record<string, readonly Row[]>> = {
  'a client': [
    [PACKET_BODY_BYTES_MAX, 16_777_215, 'bytes of a packet: what three bytes can say'],
    [MALFORMED_MAX, 16, 'messages that cannot be read; that one closes'],
    [PUSH_ROUTE_BYTES_MAX, 127, "bytes of a push's route"],
    [HTTP_HEAD_BYTES_MAX, 16 * KIB, 'bytes of the head of an HTTP request'],
    [PROXY_LINE_BYTES_MAX, 107, 'bytes of a PROXY header of version 1'],
    [PROXY_HEADER_BYTES_MAX, 4_096, 'bytes of a PROXY header of version 2'],
  ],
  'a session': [
    [NAME_BYTES_MAX, 256, 'bytes of a uid, a group, a key'],
    [SESSIONS_PER_UID_MAX, 1_000, 'sessions of a uid, where they are limited'],
    [GATHER_MS, 200, 'ms in which gateways say which sessions of a uid they hold'],
    [CLAIMS_AGAIN_MS, 30_000, 'ms after which each says so again'],
    [SIGN_OF_LIFE_MS, 2_000, 'ms for a sign of life of a client whose uid another wants'],
    [ASKS_MAX, 10_000, 'binds that wait for the holders of their uids'],
    [ASK_MS_MAX, 5_000, 'ms that one of them waits'],
    [TOKEN_CHARS_MAX, 4_096, 'characters of its resume token'],
    [TOKEN_EVERY_MS, 1_000, 'ms between two of them'],
    [RESUME_KEYS_MAX, 8, 'keys that open them'],
    [ENDED_MAX, 100_000, 'sessions that must not come back'],
    [RESUME_WAIT_MS, 250, 'ms for other gateways to say that they hold the session'],
    [news.FETCH_MS, 2_000, 'ms for what they know to have ended, before a gateway is ready'],
    [LEARN_MS, 2_000, 'ms for what they know of blocks and maintenance, before a gateway is ready'],
    [SUMS_EVERY_MS, 5_000, 'ms, about, after which each says what its copy of these comes to'],
    [ENTRIES_MAX, 20_000, 'blocks in a copy, with those that were removed'],
    [REMOVED_MS, 86_400_000, 'ms for which a removed block is remembered'],
    [news.LINEAGES_AGAIN_MS, 30_000, 'ms after which each says again what it holds'],
    [news.ROWS_PER_MESSAGE, 500, 'rows of one such message'],
    [news.ENDED_PER_REPLY, 2_000, 'rows of an answer to a gateway that starts'],
    [LATE_DELTAS_MS, 10_000, 'ms after an answer in which pushes that it has are dropped'],
  ],
  'a route': [
    [RENAMED_BYTES_MAX, 1_024, 'bytes once it is renamed'],
  ],
  'JSON': [
    [JSON_DEPTH_MAX, 64, 'levels from a backend'],
    [JSON_DEPTH_MAX_TO_BACKENDS, 32, "levels to a backend, to Control over HTTP, and of a session's data"],
    [PAYLOAD_DEPTH_MAX, 256, 'levels to a Unix socket'],
  ],
  'a refusal': [
    [refusals.RETRY_AFTER_MS_MAX, 86_400_000, 'ms of a wait: a day'],
    [refusals.TEXT_CHARACTERS_MAX, 1_024, 'characters of a text'],
    [refusals.REASON_CHARACTERS_MAX, 128, 'characters of a reason'],
    [refusals.FIELDS_MAX, 64, 'fields'],
  ],
  'a Link': [
    [inflow.WINDOW_FRAMES, 4_096, 'pushes and verbs granted at first'],
    [inflow.WINDOW_BYTES, 4 * MIB, 'bytes of them'],
    [inflow.ASKED_MAX, 1_024, 'pushes and verbs that wait for their result'],
    [sendWindow.WAITING_CALLS_MAX, 1_000, 'calls that wait for credit'],
    [sendWindow.WAITING_BYTES_MAX, 8 * MIB, 'bytes of them'],
    [link.LINK_UNSENT_BYTES_MAX, 16 * MIB, 'bytes unsent; beyond it 503'],
    [link.LINK_UNSENT_BYTES_END, 32 * MIB, 'bytes unsent; beyond it the link is given up'],
    [link.LINK_ID_MAX, 4_294_967_295, 'number of a frame'],
    [RECEIVE_BYTES_MAX, 64 * MIB, 'bytes of a message'],
    [link.EXTEND_MS_MAX, 300_000, 'ms that a backend may take longer'],
  ],
  'an address': [
    [ejection.FAILURES_MAX, 5, 'failures in a row'],
    [ejection.EJECTED_MS_MIN, 5_000, 'ms alone at first'],
    [ejection.EJECTED_MS_MAX, 60_000, 'ms alone in the end'],
    [MOVES_PER_SECOND, 500, 'sessions moved in a second'],
    [RESOLVE_EVERY_MS, 15_000, 'ms between looks at a name'],
    [RESOLVE_SOON_MS, 1_000, 'ms to the next look when an address is lost'],
    [RETRY_MS_MIN, 100, 'ms to the first attempt to connect again'],
    [RETRY_MS_MAX, 5_000, 'ms to the last'],
  ],
  Consul: [
    [AGAIN_MS_MIN, 500, 'ms at most to the first question after a failure'],
    [AGAIN_MS_MAX, 30_000, 'ms at most to the last'],
  ],
  'dial-in': [
    [ATTACHED_MAX, 64, 'processes of one backend'],
    [NEWCOMERS_MAX, 64, 'connections without a hello'],
    [HELLO_WAIT_MS, 5_000, 'ms to the hello'],
    [ATTACH_MESSAGE_BYTES_MAX, 64 * MIB, 'bytes of a message'],
  ],
  'a method': [
    [FIELD_ERRORS_MAX, 16, 'fields that are named as wrong'],
    [SCHEMA_BYTES_MAX, 32 * MIB, 'bytes of a schema'],
    [SCHEMA_FILES_MAX, 10_000, 'files of a schema'],
    [LOOK_EVERY_MS, 5_000, 'ms between looks at its files'],
    [REFLECT_EVERY_MS, 60_000, 'ms between questions for it'],
  ],
  'HTTP': [
    [HTTP_CONNECTIONS_MAX, 256, 'requests at once'],
    [INTERIMS_MAX, 1_000, 'answers of 1xx before the answer'],
    [IDLE_MS, 1_500, 'ms that an idle connection is kept'],
    [CONNECTION_MS, 60_000, 'ms that a busy one is used'],
    [CLOSED_IN_FLIGHT_MAX, 8, 'ends of sessions that are told at once'],
    [CLOSED_PAUSE_MS, 60_000, 'ms without telling, once it is not served'],
  ],
  'a Unix socket': [
    [ipcConnection.IPC_UNSENT_BYTES_MAX, 16 * MIB, 'bytes unsent'],
    [ipcLines.IPC_LINE_BYTES_MAX, 16 * MIB - 1 + 64 * KIB, 'bytes of a line that is read'],
    [ipcConnection.IPC_SKIP_BYTES_MAX, 64 * MIB, 'bytes of a line that is passed over'],
    [ipcLines.IPC_BAD_LINES_MAX, 16, 'lines in a row that are no JSON object'],
    [LINES_PER_TURN, 500, 'lines in one turn of the event loop'],
    [ipcConnection.SEQ_ID_MAX, 2_147_483_647, 'seq_id'],
    [ipc.IPC_LEAVING_MAX, 4, 'connections that are being left'],
    [hold.IPC_HOLD_MS, 2_000, 'ms that requests wait for the process that takes over'],
    [hold.IPC_HOLD_BYTES_MAX, 8 * MIB, 'bytes of them'],
    [hold.IPC_HOLD_EVENTS_MAX, 10_000, 'ends of sessions that wait with them'],
  ],
  'NATS': [
    [UNSERVED_MAX, 1_000, 'requests that wait for a subscriber'],
    [UNSERVED_PAUSES_MS.reduce((all, ms) => all + ms, 0), 2_000, 'ms that each waits'],
    [SERVED_ROUTES_MAX, 1_000, 'routes that are known to be served'],
    [SUBJECT_BYTES_MAX, 512, 'bytes of a subject'],
    [HEADER_LINES_MAX, 256, 'lines of headers'],
    [HEADER_BYTES_MAX, MIB, 'bytes of headers'],
    [PUSHES_MAX, 1_000, 'pushes in a batch, and in a reply'],
    [readPage(1e9, '').limit, 1_000, 'sessions on a page'],
    [readPage(0, '').limit, 1_000, 'sessions on a page where nobody says'],
    [REPLY_BYTES_MAX, MIB, 'bytes of an answer'],
    [ERROR_TEXT_MAX, 1_024, 'characters of an error in a header'],
    [nats.NATS_AGAIN_MS_MAX, 450, 'ms to the next attempt to connect, at most'],
    [nats.NATS_UNSENT_BYTES_MAX, 16 * MIB, 'bytes unsent'],
    [events.EVENTS_WAITING_MAX, 10_000, 'events that wait'],
    [events.EVENTS_WAITING_BYTES_MAX, 16 * MIB, 'bytes of those'],
    [LOST_AFTER_MS, 7_500, 'ms of silence, after which a gateway is lost'],
  ],
  'a gate': [
    [ANNOUNCE_MS, 1_000, 'ms between what a gateway says of its load'],
    [STALE_MS, 4_000, 'ms after which a silent gateway gets no clients'],
    [GATEWAYS_MAX, 1_000, 'other gateways'],
  ],
  'Control': [
    [API_BODY_BYTES_MAX, 4 * MIB, 'bytes of a body over HTTP'],
    [API_REQUESTS_MAX, 64, 'requests at once over HTTP'],
    [control.LIST_LIMIT, 1_000, 'sessions of a list where nobody says'],
    [control.LIST_LIMIT_MAX, 100_000, 'sessions of a list'],
    [PUSH_WAIT_MS_MAX, 10_000, 'ms that a push may wait for counts'],
    [PUSHES_WAITING_MAX, 64, 'pushes of PushMany that wait for counts'],
    [CALL_MS_MAX, 300_000, 'ms that Call may wait for its answer'],
    [GROUPS_PAGE_MAX, 1_000, 'groups on a page'],
    [PRESENCE_UIDS_MAX, 10_000, 'uids whose presence is asked for at once'],
    [PRESENCE_NAMED_MAX, 100, 'sessions of a uid that one gateway names'],
    [BLOCKS_MAX, 10_000, 'blocks that Control sets'],
    [BLOCKS_PAGE_MAX, 1_000, 'blocks on a page'],
    [REASON_CHARS_MAX, 256, 'characters of the reason of a block'],
    [blocksFile.FILE_BLOCKS_MAX, 50_000, 'blocks in blocks.file'],
    [blocksFile.FILE_BYTES_MAX, 8 * MIB, 'bytes of it'],
    [blocksFile.CLIENT_RULES_MAX, 1_000, 'kinds of clients in it'],
    [pauses.PAUSE_ROUTES_MAX, 100, 'routes in maintenance'],
    [pauses.PAUSE_UIDS_MAX, 1_000, 'uids that are served anyway'],
    [pauses.PAUSE_MESSAGE_CHARS_MAX, 512, 'characters of the message of a maintenance'],
    [pauses.PAUSE_BYTES_MAX, 64 * KIB, 'bytes of all of it'],
    [FLEET_WAIT_MS, 250, 'ms that other gateways are waited for where nobody says'],
  ],
  'retries': [
    [retries.RETRIES_MAX, 2, 'beside the first time'],
    [retries.BACKOFF_MS, 100, 'ms before the first of them'],
    [retries.BUDGET_SHARE, 0.2, 'for each message'],
    [retries.BUDGET_MAX, 100, 'that a backend is owed'],
  ],
  'the log': [
    [LOG_UNREAD_BYTES_MAX, MIB, 'bytes that nobody has read'],
  ],
};

for (const [whose, rows] of Object.entries(LIMITS)) {
  test.each(rows)(`of ${whose}: %i, %i %s`, (is, literal) => {
    expect(is).toBe(literal);
  });
}

test('the features of a Link', () => {
  expect(link.FEATURES).toEqual(['credit', 'extend']);
});

test('a segment of a route has at most 64 characters', () => {
  const lengths = [64, 65].map((length) => isRoute(`a.${'x'.repeat(length)}`, 127));
  expect(lengths).toEqual([true, false]);
});

describe('a refusal', () => {
  const said = (body: object | string) =>
    refusals.refusal({}, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));

  test('is 500 where nothing says a code', () => {
    expect(refusals.refusal({}, null)).toMatchObject({ code: 500, reason: 'BACKEND_ERROR' });
  });

  test('has a reason of 128 characters, texts of 1,024, 64 fields, and waits a day', () => {
    const fields = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, 'x']));
    const refused = said({
      reason: 'R'.repeat(129),
      msg: 'x'.repeat(1_025),
      retry_after_ms: 86_400_001,
      fields,
    });
    expect(refused.reason).toBe('R'.repeat(128));
    expect(refused.message).toBe('x'.repeat(1_024));
    expect(refused.retryAfterMs).toBe(86_400_000);
    expect(Object.keys(refused.fields!)).toHaveLength(64);
  });

  test('is parsed up to 64 KiB, and looked at for its code beyond', () => {
    const padded = (bytes: number): string => {
      const json = '{"reason":"R","pad":""}';
      return json.replace('""', `"${'x'.repeat(bytes - json.length)}"`);
    };
    expect(said(padded(65_536)).reason).toBe('R');
    expect(said(padded(65_537)).reason).toBe('BACKEND_ERROR');
  });
});

describe('a Pitaya client', () => {
  const { wire } = new PitayaDialect({
    ...{ heartbeatSeconds: 30, dictionary: null, serializer: 'json' },
    ...{ compress: true, inflateBytesMax: 1_024 },
  });

  test('gets bodies compressed from 128 bytes on', () => {
    const flags = [127, 128].map((bytes) => {
      const encoded = wire.push('onX', Buffer.alloc(bytes, 'x')) as Buffer;
      return encoded[packetOffset(encoded) + 4];
    });
    expect(flags).toEqual([0x06, 0x16]);
  });

  test("gets a backend's own error of up to 64 KiB by its code", () => {
    const error = (bytes: number): Buffer => {
      const json = '{"code":"X-1","pad":""}';
      return Buffer.from(json.replace('""', `"${'x'.repeat(bytes - json.length)}"`));
    };
    const passes = [65_536, 65_537].map((bytes) => {
      const why = { ...failure('BACKEND_ERROR'), bytes: error(bytes) };
      return wire.failure(1, 'a.b', why)!.includes('X-1');
    });
    expect(passes).toEqual([true, false]);
  });
});
