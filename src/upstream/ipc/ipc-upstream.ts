/**
 * A backend on a Unix socket that speaks JSON lines: one connection for everything, which is made again when it is
 * lost, or when the backend asks for it because another process takes over.
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
import type { Call } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import { FactsCache } from '../facts-cache.ts';
import { Reconnect } from '../reconnect.ts';
import { type ConnectAsk, oneAddress, type Upstream, type UpstreamInfo } from '../upstream.ts';
import { NO_SESSION_TAIL, sessionTail, writeLine } from './gateway-lines.ts';
import { Hold } from './hold.ts';
import { faultOfJson } from './json-text.ts';
import {
  IpcConnection,
  type IpcConnectionOwner,
  type IpcConnectionParts,
} from './ipc-connection.ts';
import { whyNoSocket } from './socket-trouble.ts';
import type { ClosedSession, LostGateway } from '../../contract/facts.ts';

/** How long the gateway waits at its start for the first attempt, before it listens. */
const FIRST_ATTEMPT_MS = 2_000;
/** Connections that are being left, while something is due over them; beyond it the oldest is ended. */
export const IPC_LEAVING_MAX = 4;
/** A connection whose goaway comes sooner is not replaced at once: the process that leaves may still be bound to the path. */
const MOVE_MS_MIN = 1_000;

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

  get places(): readonly string[] {
    return this.isKnown ? [''] : [];
  }

  forget(closed: ClosedSession): void {
    if (this.isKnown) this.#upstream.tellClosed(closed);
    this.isKnown = false;
  }
}

/** connecting · up · away: waits for the next try · stopped. */
type State = 'connecting' | 'up' | 'away' | 'stopped';

export class IpcUpstream implements Upstream, IpcConnectionOwner {
  /** One connection, read in its order. */
  readonly oneAtATime = false;
  readonly #options: IpcUpstreamOptions;
  readonly #report: BackendReport;
  readonly #connectionParts: IpcConnectionParts;
  readonly #path: string;
  readonly #reconnect: Reconnect;
  #state: State = 'connecting';
  #connection: IpcConnection | null = null;
  /** Those whose backend has said goaway, and which still have something to bring; the oldest first. */
  readonly #leaving = new Set<IpcConnection>();
  readonly #hold: Hold;
  /** The socket of the attempt that is under way. */
  #attempt: net.Socket | null = null;
  #lastWhy = '';
  #settle: () => void = () => {};

  constructor(options: IpcUpstreamOptions, commands: BackendCommands, report: BackendReport) {
    this.#options = options;
    this.#report = report;
    const { clock, wheel, convertBytesMax } = options;
    this.#connectionParts = { commands, report, convertBytesMax, clock, wheel };
    this.#path = options.address.replace(/^unix:(\/\/)?/, '');
    this.#reconnect = new Reconnect(options.wheel, options.random, () => {
      this.#connect();
    });
    this.#hold = new Hold(wheel, report.waits('takeover'), () => {
      this.#endHold('no other process has taken over');
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
    const connection = this.#connection;
    if (connection === null) {
      // A notify may outlive its session, which is told to be over then.
      if (this.#hold.isOn && call.session.state !== 'closed')
        this.#sessionOf(call.lane).isKnown = true;
      this.#hold.keep(call, null);
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
    const seqId = connection.numberOf(call);
    const line = writeLine({
      cmd: call.route,
      payload: call.body,
      seqId,
      timeoutMs: seqId === 0 ? 0 : call.leftMs(this.#options.wheel.now()),
      trace: call.trace,
      tail: backendSession.tail.of(call),
    });
    connection.send(call, seqId, line);
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

  knownAt(lane: Lane): void {
    this.#sessionOf(lane).isKnown = true;
  }

  tellClosed(closed: ClosedSession): void {
    if (this.#connection === null && !this.#hold.isOn) return;
    const closedData = this.#options.closedData?.() ?? [];
    const line = this.#ownLine(
      'pith.closed',
      closedEventJson(closed, closedData),
      sessionTail(closed.session, closedData),
    );
    this.#tell(line, 'ended sessions were not reported');
  }

  gatewayLost(lost: LostGateway, isSpeaker: boolean): void {
    if (!isSpeaker || (this.#connection === null && !this.#hold.isOn)) return;
    const line = this.#ownLine('pith.lost', JSON.stringify(lostJson(lost)), NO_SESSION_TAIL);
    this.#tell(line, 'a lost gateway was not reported');
  }

  #tell(line: Buffer, otherwise: string): void {
    if (this.#connection === null) {
      if (!this.#hold.keepEvent(line)) this.#report.unreported(`too many wait; ${otherwise}`);
    } else if (!this.#connection.write(line)) {
      this.#report.unreported(`the backend is not reading; ${otherwise}`);
    }
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
    const { address } = this.#options;
    const state = this.#state;
    const why = state === 'up' ? '' : this.#lastWhy;
    return { kind: 'ipc', ...oneAddress({ address, state, why, isHealthy: state === 'up' }) };
  }

  async close(ms: number): Promise<void> {
    this.#state = 'stopped';
    this.#reconnect.stop();
    this.#attempt?.destroy();
    this.#settle();
    this.#endHold('the gateway stopped');
    const all = [...this.#leaving];
    if (this.#connection !== null) all.push(this.#connection);
    await Promise.all(all.map((connection) => connection.finish(ms)));
  }

  // ---- lines to the backend -----------------------------------------------------------------------------

  #sendConnect(call: Call, ask: ConnectAsk): void {
    const connection = this.#connection;
    if (connection === null) {
      this.#hold.keep(call, ask);
      return;
    }
    this.#sessionOf(ask.lane).isKnown = true;
    const facts = {
      seqId: connection.numberOf(call),
      timeoutMs: call.leftMs(this.#options.wheel.now()),
    };
    const line = this.#ownLine(
      'pith.connect',
      JSON.stringify(connectJson(ask)),
      sessionTail(ask.session, []),
      facts,
    );
    connection.send(call, facts.seqId, line);
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
    this.#connection = new IpcConnection(socket, this.#connectionParts, this);
    this.#state = 'up';
    this.#lastWhy = '';
    this.#reconnect.up();
    this.#report.state(this.#options.address, 'connected', 'connected');
    this.#settle();
    this.#endHold('');
  }

  lost(connection: IpcConnection, why: string): void {
    if (this.#leaving.delete(connection)) return;
    this.#connection = null;
    this.#onLost(why);
  }

  #onLost(why: string): void {
    this.#attempt = null;
    if (this.#state !== 'stopped') {
      this.#state = 'away';
      if (this.#hold.isOn) {
        this.#reconnect.soon();
      } else {
        this.#reconnect.later();
        // Each attempt fails for the same reason, mostly.
        if (why !== this.#lastWhy) this.#report.state(this.#options.address, 'away', why);
        this.#lastWhy = why;
      }
    }
    this.#settle();
  }

  // ---- another process takes over -----------------------------------------------------------------------

  goaway(connection: IpcConnection, reason: string): void {
    if (connection !== this.#connection || this.#state === 'stopped') return;
    this.#connection = null;
    this.#state = 'away';
    this.#report.state(this.#options.address, 'leaving', `goaway: ${reason || 'no reason given'}`);
    this.#hold.begin();
    this.#leaving.add(connection);
    connection.leave();
    const [oldest] = this.#leaving;
    if (this.#leaving.size > IPC_LEAVING_MAX) oldest!.end('too many connections are being left');
    this.#reconnect.stop();
    if (connection.age >= MOVE_MS_MIN) this.#connect();
    else this.#reconnect.soon();
  }

  /** @param why What has waited is not sent; '': it is. */
  #endHold(why: string): void {
    if (!this.#hold.isOn) return;
    const events = this.#hold.end();
    for (let next = this.#hold.take(); next !== null; next = this.#hold.take()) {
      const { call, what: ask } = next;
      if (why !== '') call.fail(failure('BACKEND_AWAY'));
      else if (ask === null) this.send(call);
      else this.#sendConnect(call, ask);
    }
    // A session that has ended may have left a notify, which comes first.
    if (why === '') for (const line of events) this.#tell(line, 'an end was not reported');
    else if (events.length > 0) this.#report.unreported(why);
    if (this.#state === 'away') this.#report.state(this.#options.address, 'away', why);
  }
}
