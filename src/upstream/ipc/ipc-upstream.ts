/**
 * A backend on a Unix socket that speaks JSON lines: one connection for everything, which is made again when it is
 * lost. Answers find their calls by number.
 */
import net from 'node:net';

import { type Clock, within } from '../../clock.ts';
import { closedEventJson, lostJson } from '../../contract/event-json.ts';
import { connectJson, readConnectResponse } from '../../contract/json-shapes.ts';
import { type Failure, failure } from '../../errors.ts';
import type { Accepted } from '../../contract/commands.ts';
import type { Lane, BackendSession } from '../../session/lane.ts';
import type { Random } from '../../random.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { BackendCommands } from '../backend-commands.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import { FactsCache } from '../facts-cache.ts';
import { Reconnect } from '../reconnect.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import { NO_SESSION_TAIL, sessionTail, writeLine } from './gateway-lines.ts';
import { faultOfJson } from './json-text.ts';
import { IPC_LINE_BYTES_MAX, LineReader } from './line-reader.ts';
import { LineSocket } from './line-socket.ts';
import { whyNoSocket } from './socket-trouble.ts';
import type { ClosedSession, LostGateway } from '../../contract/facts.ts';

/** How long the gateway waits at its start for the first attempt, before it listens. */
const FIRST_ATTEMPT_MS = 2_000;
/** Bytes for the backend that the system has not taken; beyond it requests are refused. */
export const IPC_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** A longer one fails the request that it answers, and nothing else; one beyond this ends the connection. */
export const IPC_SKIP_BYTES_MAX = 64 * 1024 * 1024;
/** Numbers fit in the 32 bits with sign that some languages read whole numbers into. */
export const SEQ_ID_MAX = 0x7fff_ffff;

export type IpcUpstreamOptions = {
  readonly name: string;
  /** `unix:/path` of the socket, as it is configured. */
  readonly address: string;
  /** Keys of a session's data that its end tells; absent: none. */
  readonly closedData?: () => readonly string[];
  /** Bytes of JSON that are parsed at once: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
};

/** One session. */
class IpcSession implements BackendSession {
  readonly tail = new FactsCache(sessionTail);
  /** The backend has had messages of it, and is notified of its end; maybe over another connection. */
  isKnown = false;
  readonly #upstream: IpcUpstream;

  constructor(upstream: IpcUpstream) {
    this.#upstream = upstream;
  }

  forget(closed: ClosedSession): void {
    if (this.isKnown) this.#upstream.tellClosed(closed);
    this.isKnown = false;
  }
}

/** connecting · up · away: waits for the next try · stopped. */
type State = 'connecting' | 'up' | 'away' | 'stopped';

export class IpcUpstream implements Upstream, PendingCall {
  /** One connection, read in its order. */
  readonly oneAtATime = false;
  readonly #options: IpcUpstreamOptions;
  readonly #commands: BackendCommands;
  readonly #report: BackendReport;
  readonly #path: string;
  readonly #calls = new CallTable(SEQ_ID_MAX);
  readonly #reconnect: Reconnect;
  #state: State = 'connecting';
  #socket: LineSocket | null = null;
  /** The socket of the attempt that is under way. */
  #attempt: net.Socket | null = null;
  #lastWhy = '';
  #settle: () => void = () => {};
  #onEnded: () => void = () => {};

  constructor(options: IpcUpstreamOptions, commands: BackendCommands, report: BackendReport) {
    this.#options = options;
    this.#commands = commands;
    this.#report = report;
    this.#path = options.address.replace(/^unix:(\/\/)?/, '');
    this.#reconnect = new Reconnect(options.wheel, options.random, () => {
      this.#connect();
    });
  }

  async start(): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    this.#connect();
    await within(this.#options.clock, FIRST_ATTEMPT_MS, settled, undefined);
  }

  send(call: Call): void {
    const socket = this.#socket;
    if (socket === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    const fault = call.body.length === 0 ? null : faultOfJson(call.body);
    if (fault !== null) {
      call.fail(failure('BAD_BODY', `the body cannot be sent to this backend: ${fault}`));
      return;
    }
    // A notify may outlive its session, which is not closed a second time.
    const backendSession = this.#sessionOf(call.lane);
    if (call.session.state !== 'closed') backendSession.isKnown = true;
    const seqId = call.wantsAnswer ? this.#calls.add(call, this) : 0;
    const line = writeLine({
      cmd: call.route,
      payload: call.body,
      seqId,
      timeoutMs: seqId === 0 ? 0 : call.leftMs(this.#options.wheel.now()),
      trace: call.trace,
      tail: backendSession.tail.of(call),
    });
    if (!socket.write(line)) {
      this.#calls.remove(call);
      call.fail(failure('OVERLOADED', 'the backend is not keeping up'));
    } else if (seqId === 0) {
      call.sent();
    }
  }

  cancel(call: Call): void {
    this.#calls.remove(call);
    const held = this.#socket?.heldBytes ?? 0;
    if (held > 0 && this.#options.wheel.now() >= call.deadline) {
      const why = `${held} bytes wait for the newline that ends a line: each answer must end with one`;
      this.#report.dropped('line', why, 'no-newline');
    }
  }

  async connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#options.wheel, (body) =>
      readConnectResponse(body, this.#options.convertBytesMax),
    );
    if (!call.ended) this.#sendConnect(call, ask);
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) ask.lane.backendSession = null;
    return outcome;
  }

  tellClosed(closed: ClosedSession): void {
    if (this.#socket === null) return;
    const { session } = closed;
    const closedData = this.#options.closedData?.() ?? [];
    const line = this.#ownLine(
      'pith.closed',
      closedEventJson(closed, closedData),
      sessionTail(session, closedData),
    );
    if (!this.#socket.write(line))
      this.#report.unreported('the backend is not reading; ended sessions were not reported');
  }

  gatewayLost(lost: LostGateway, isSpeaker: boolean): void {
    if (!isSpeaker || this.#socket === null) return;
    const line = this.#ownLine('pith.lost', JSON.stringify(lostJson(lost)), NO_SESSION_TAIL);
    if (!this.#socket.write(line))
      this.#report.unreported('the backend is not reading; a lost gateway was not reported');
  }

  whereTo({ route }: Call): Readonly<Record<string, string>> {
    return { path: this.#path, cmd: route };
  }

  /** [OpenTelemetry has no page for it; as for RPC, over a socket that has a path.] */
  clientSpan({ route, wantsAnswer }: Call): ClientSpan {
    return {
      name: wantsAnswer ? 'request {cmd}' : 'notify {cmd}',
      attributes: {
        'rpc.system.name': 'pith.ipc',
        'rpc.method': route,
        'network.transport': 'unix',
        'server.address': this.#path,
      },
    };
  }

  info(): UpstreamInfo {
    return { kind: 'ipc', addresses: 1, healthy: this.#state === 'up' ? 1 : 0 };
  }

  async close(ms: number): Promise<void> {
    this.#state = 'stopped';
    this.#reconnect.stop();
    this.#attempt?.destroy();
    this.#settle();
    if (this.#socket === null) return;
    const ended = new Promise<void>((resolve) => {
      this.#onEnded = resolve;
    });
    this.#socket.finish();
    await within(this.#options.clock, ms, ended, undefined);
    this.#socket?.end('the gateway stopped');
  }

  // ---- lines to the backend -----------------------------------------------------------------------------

  #sendConnect(call: ConnectCall, ask: ConnectAsk): void {
    const socket = this.#socket;
    if (socket === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    this.#sessionOf(ask.lane).isKnown = true;
    const facts = {
      seqId: this.#calls.add(call, this),
      timeoutMs: call.leftMs(this.#options.wheel.now()),
    };
    const line = this.#ownLine(
      'pith.connect',
      JSON.stringify(connectJson(ask)),
      sessionTail(ask.session, []),
      facts,
    );
    if (socket.write(line)) return;
    this.#calls.remove(call);
    call.fail(failure('OVERLOADED', 'the backend is not keeping up'));
  }

  #ownLine(cmd: string, payload: string, tail: string, facts = { seqId: 0, timeoutMs: 0 }): Buffer {
    return writeLine({ cmd, payload: Buffer.from(payload), ...facts, trace: null, tail });
  }

  #sessionOf(lane: Lane): IpcSession {
    return lane.backendSession instanceof IpcSession
      ? lane.backendSession
      : (lane.backendSession = new IpcSession(this));
  }

  // ---- the connection -----------------------------------------------------------------------------------

  #connect(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'connecting';
    const socket = net.connect({ path: this.#path });
    this.#attempt = socket;
    const onFail = (error: NodeJS.ErrnoException): void => {
      this.#onLost(whyNoSocket(error, { name: this.#options.name, path: this.#path }));
    };
    socket.once('error', onFail);
    socket.once('connect', () => {
      socket.off('error', onFail);
      this.#onConnected(socket);
    });
  }

  #onConnected(socket: net.Socket): void {
    this.#attempt = null;
    const limits = {
      lineBytesMax: IPC_LINE_BYTES_MAX,
      skipBytesMax: IPC_SKIP_BYTES_MAX,
      unsentBytesMax: IPC_UNSENT_BYTES_MAX,
    };
    this.#socket = new LineSocket(socket, limits, this.#newReader(), this.#options.wheel);
    this.#state = 'up';
    this.#lastWhy = '';
    this.#reconnect.up();
    this.#report.state(this.#options.address, 'connected', 'connected');
    this.#settle();
  }

  #newReader(): LineReader {
    const parts = {
      calls: this.#calls,
      commands: this.#commands,
      report: this.#report,
      convertBytesMax: this.#options.convertBytesMax,
    };
    return new LineReader(parts, (why) => {
      this.#onLost(why);
    });
  }

  #onLost(why: string): void {
    const wasStopped = this.#state === 'stopped';
    this.#attempt = null;
    this.#socket = null;
    if (!wasStopped) {
      this.#state = 'away';
      this.#reconnect.later();
      // Each attempt fails for the same reason, mostly.
      if (why !== this.#lastWhy) this.#report.state(this.#options.address, 'away', why);
      this.#lastWhy = why;
    }
    this.#settle();
    this.#onEnded();
    // They may have been carried out: only the relay decides whether one is sent again.
    for (const call of this.#calls.takeAll()) call.fail(failure('BACKEND_AWAY'));
  }
}
