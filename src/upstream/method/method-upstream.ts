/**
 * A backend whose own methods are called: nothing of Pith is in it. A route names the method; JSON becomes its
 * request by the proto3 JSON mapping, or protobuf bytes pass as they are. The messages of a streaming method are
 * pushed, and its end is the answer.
 */
import { type Metadata, status } from '@grpc/grpc-js';

import { EMPTY_OBJECT, NOTHING } from '../../bytes.ts';
import { cut, REASON_CHARACTERS_MAX } from '../../contract/refusal.ts';
import { within } from '../../clock.ts';
import { type Failure, failure, isFailure } from '../../errors.ts';
import type { Accepted, Push } from '../../contract/commands.ts';
import type { Lane } from '../../session/lane.ts';
import type { Session } from '../../session/session.ts';
import type { BackendReport } from '../backend-report.ts';
import type { EncodeFacts } from '../facts-cache.ts';
import { MethodSession } from './method-session.ts';
import { addressOf } from '../pool/pooled-session.ts';
import type { Call } from '../call.ts';
import { type ClientSpan, grpcSpan, serverOf } from '../client-span.ts';
import type { CallStatus, GrpcConnection } from '../grpc-client/grpc-connection.ts';
import { type GrpcPoolOptions, makeGrpcPool, fixedMetadata } from '../grpc-client/grpc-pool.ts';
import { hint } from '../grpc-client/status.ts';
import { readClose, readFrom, readPatch } from '../../contract/headers.ts';
import { type EndpointPool, FIRST_ATTEMPT_MS } from '../pool/endpoint-pool.ts';
import { SessionAffinity } from '../pool/session-affinity.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import { MethodTransport } from './method-transport.ts';
import { type Outcome, type Sent, StreamInFlight, UnaryInFlight } from './method-call.ts';
import { isCallable, Methods, noMethod } from './methods.ts';
import { CALLABLE } from './schema-check.ts';
import { SchemaKeeper } from './schema-keeper.ts';
import type { Method, Schema } from './schema.ts';
import { answerHeaders, metadataOf, sessionMetadata } from './session-metadata.ts';
import { failureOfMethod, isSpoken } from './status-details.ts';
import { AnswerError, type JsonOptions, Transcoder } from './transcode.ts';
import { ShapeError } from '../../contract/json.ts';

export type MethodUpstreamOptions = GrpcPoolOptions & {
  /** The only services that are called. */
  readonly services: readonly string[];
  readonly descriptors: readonly string[];
  readonly protos: readonly string[];
  readonly reflection: boolean;
  /** The only digest of a schema that is taken; '': any. */
  readonly digest: string;
  readonly json: JsonOptions;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  /** `limits.json_depth`. Default JSON_DEPTH. */
  readonly jsonDepthMax?: number;
};

/** Takes the messages of streaming methods, for the session that asked. */
export interface Pusher {
  push(push: Push, from: Session): Failure | null;
}

export class MethodUpstream implements Upstream {
  /** Calls have no order among themselves. */
  readonly oneAtATime = true;
  readonly #options: MethodUpstreamOptions;
  readonly #pusher: Pusher;
  readonly #report: BackendReport;
  readonly #pool: EndpointPool<MethodTransport>;
  readonly #affinity: SessionAffinity<MethodTransport>;
  readonly #keeper: SchemaKeeper;
  readonly #methods = new Methods();
  readonly #transcoder: Transcoder;
  readonly #server: ClientSpan['attributes'];
  readonly #encode: EncodeFacts<Metadata>;

  constructor(options: MethodUpstreamOptions, pusher: Pusher, report: BackendReport) {
    this.#options = options;
    this.#server = serverOf(options.url);
    this.#pusher = pusher;
    this.#report = report;
    this.#transcoder = new Transcoder(options.json, options.convertBytesMax, options.jsonDepthMax);
    const fixed = fixedMetadata(options.metadata);
    this.#encode = (session, forward) => sessionMetadata(fixed, session, forward);
    const anyConnection = (): GrpcConnection | null =>
      this.#pool.list.find(({ serves }) => serves)?.transport.connection ?? null;
    this.#keeper = new SchemaKeeper(options, report, anyConnection);
    this.#pool = makeGrpcPool(
      options,
      report,
      (endpoint, transport) => new MethodTransport(endpoint, transport, this.#keeper),
    );
    this.#affinity = new SessionAffinity(options, this.#pool);
  }

  async start(): Promise<void> {
    const tried = Promise.all([this.#pool.start(), this.#keeper.look()]);
    const known = tried.then(() => this.#keeper.look());
    await within(this.#options.clock, FIRST_ATTEMPT_MS, known, undefined);
  }

  send(call: Call): void {
    const { schema } = this.#keeper;
    if (schema === null) {
      this.#fail(call, failure('BACKEND_AWAY'), 'schema', () => 'its methods are not known yet');
      return;
    }
    const method = this.#methodOf(call, schema);
    if (isFailure(method)) {
      call.fail(method);
      return;
    }
    call.idempotent ||= method.idempotent;
    const message = passesBytes(call)
      ? call.body
      : this.#transcoder.toRequest(method.input, schema.registry, call.body);
    if (isFailure(message)) {
      call.fail(message);
      return;
    }
    const backendSession = this.#sessionOf(call.lane);
    const endpoint = this.#affinity.endpointFor(call, backendSession);
    if (endpoint === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    const { clock, wheel } = this.#options;
    const leftMs = call.leftMs(wheel.now());
    const request = {
      path: method.path,
      message,
      metadata: metadataOf(call, backendSession.metadata.of(call)),
      deadline: clock.wallNow() + leftMs,
    };
    this.#start({ call, method, schema, endpoint, request });
  }

  connect(_ask: ConnectAsk): Promise<Accepted | Failure> {
    const why = `backend ${this.#report.backend} has mode: method, which has no Connect; name another in auth.backend`;
    return Promise.resolve(failure('UNSUPPORTED', why));
  }

  placesOf(backendSession: MethodSession): readonly string[] {
    return this.#affinity.placesOf(backendSession);
  }

  knownAt(lane: Lane, places: readonly string[]): void {
    this.#affinity.keepTo(this.#sessionOf(lane), places);
  }

  forget(backendSession: MethodSession): void {
    this.#affinity.forget(backendSession);
  }

  whereTo({ lane, route, target }: Call): Readonly<Record<string, string>> {
    const { schema } = this.#keeper;
    const method = schema === null ? null : this.#methods.find(schema, target, route);
    return { method: method?.path ?? target.method, ...addressOf(lane) };
  }

  clientSpan(call: Call): ClientSpan {
    return grpcSpan(this.whereTo(call)['method']!.replace(/^\//, ''), this.#server);
  }

  info(): UpstreamInfo {
    return { kind: 'grpc', ...this.#pool.count() };
  }

  async close(ms: number): Promise<void> {
    this.#keeper.close();
    await this.#pool.close(ms, 'the gateway is stopping');
  }

  // ---- there ------------------------------------------------------------------------------------------

  #methodOf(call: Call, schema: Schema): Method | Failure {
    const { route, target } = call;
    const method = this.#methods.find(schema, target, route);
    if (method === null) {
      const why = noMethod(schema, target.method, route);
      this.#report.trouble(call, 'no method', { reason: 'NO_ROUTE', route }, why);
      return failure('NO_ROUTE', 'the backend has no method for this route');
    }
    if (method.kind === 'server_streaming' && target.group !== null && call.wantsAnswer) {
      const why = `${method.path}: ${JOINS_NO_STREAM}`;
      this.#report.trouble(call, 'join', { reason: 'UNSUPPORTED', route }, why);
      return failure('UNSUPPORTED', JOINS_NO_STREAM);
    }
    if (isCallable(method)) return method;
    const why = `${method.path} is ${method.kind}; ${CALLABLE}`;
    this.#report.trouble(call, 'client streaming', { reason: 'UNSUPPORTED', route }, why);
    return failure('UNSUPPORTED', 'this route calls a method that takes a stream');
  }

  #sessionOf(lane: Lane): MethodSession {
    return lane.backendSession instanceof MethodSession
      ? lane.backendSession
      : (lane.backendSession = new MethodSession(lane, this, this.#encode));
  }

  #start(sent: Sent): void {
    if (sent.method.kind === 'unary')
      new UnaryInFlight(sent, this.#options.wheel, this.#onUnaryEnd);
    else new StreamInFlight(sent, this.#options.wheel, this.#onMessage, this.#onStreamEnd);
  }

  // ---- and back ---------------------------------------------------------------------------------------

  readonly #onUnaryEnd = (outcome: Outcome): void => {
    const { sent, body, ended } = outcome;
    if (ended.code !== status.OK) {
      this.#failed(outcome);
      return;
    }
    const answer = body ?? NOTHING;
    const isPlain = passesBytes(sent.call) || !sent.call.wantsAnswer;
    const printed = isPlain ? answer : this.#json(sent, answer);
    if (printed === null) return;
    sent.endpoint.answered();
    this.#answer(outcome, printed, null);
  };

  /** One message of a stream. */
  readonly #onMessage = (sent: Sent, bytes: Buffer): boolean => {
    const { call } = sent;
    // A notify may outlive its session; the rest is discarded.
    if (call.session.state === 'closed') {
      call.pending = null;
      call.sent();
      return false;
    }
    const body = passesBytes(call) ? bytes : this.#json(sent, bytes);
    if (body === null) return false;
    const route = call.target.pushRoute || call.clientRoute;
    const { session } = call;
    const refused = this.#pusher.push({ ...PUSH, route, body }, session);
    if (refused !== null)
      this.#report.dropped('push', refused.message, '', { sid: session.sid, route });
    // The push may have closed the session, and ended the call with it.
    return call.pending !== null;
  };

  readonly #onStreamEnd = (outcome: Outcome): void => {
    if (outcome.ended.code !== status.OK) {
      this.#failed(outcome);
      return;
    }
    outcome.sent.endpoint.answered();
    this.#answer(outcome, EMPTY_OBJECT, null);
  };

  /** null: it cannot be written as JSON, and the call has failed. */
  #json({ call, method, schema, endpoint }: Sent, bytes: Buffer): Buffer | null {
    try {
      return this.#transcoder.toJson(method.output, schema.registry, bytes);
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      call.pending = null;
      endpoint.failed();
      this.#fail(call, failure('BAD_REPLY', error.clientText || undefined), 'bad reply', () => {
        return `${method.path} sent an answer that is not a ${method.output.typeName}: ${error.message}`;
      });
      return null;
    }
  }

  #failed({ sent, initial, ended, body, isUnsent }: Outcome): void {
    const { call, method, endpoint } = sent;
    if (isUnsent) {
      // It goes to another address, or fails where there is none.
      const { transport } = endpoint;
      if (!transport.connection.isReady) transport.unreachable(hint(ended));
      this.send(call);
      return;
    }
    const failed = failureOfMethod(ended);
    if (FAULTS.has(failed.code)) endpoint.failed();
    else endpoint.answered();
    if (!isSpoken(ended)) {
      const why = `${method.path} at ${endpoint.name}: ${statusText(ended)}`;
      const { reason } = failed;
      this.#report.trouble(call, `status ${ended.code}`, { reason, route: call.route }, why);
    }
    this.#answer({ sent, initial, ended, body, isUnsent }, null, failed);
  }

  #answer({ sent, initial, ended }: Outcome, body: Buffer | null, why: Failure | null): void {
    const { call } = sent;
    const headers = answerHeaders(initial, ended.metadata);
    if (headers === null) {
      if (why !== null && isSpoken(ended))
        call.answer({ body, failure: why, patch: null, pushes: [], close: null });
      else if (why !== null) call.fail(why);
      else call.succeed(body!);
      return;
    }
    try {
      const reason = cut(headers.get(REASON) ?? '', REASON_CHARACTERS_MAX);
      const failed = why === null ? null : { ...why, reason: reason || why.reason };
      const patch = readPatch(headers);
      const close = readClose(headers);
      const from = readFrom(headers);
      call.answer({ body, failure: failed, patch, pushes: [], close, ...(from && { from }) });
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      const text = (): string =>
        `${sent.method.path}: ${error.message.replace('pith-', 'x-pith-')}`;
      this.#fail(call, failure('BAD_REPLY'), 'bad metadata', text);
    }
  }

  #fail(call: Call, why: Failure, kind: string, text: () => string): void {
    const { reason } = why;
    this.#report.trouble(call, kind, { reason, route: call.route }, text());
    call.fail(why);
  }
}

const JOINS_NO_STREAM =
  'this route joins a group, whose pushes would wait until the stream ends: join in a route of its own';
const REASON = 'pith-error-reason';
/** Codes of failures that say that an address does not do its work: BAD_REPLY, BACKEND_AWAY, TIMEOUT. */
const FAULTS = new Set([502, 503, 504]);

const PUSH: Omit<Push, 'route' | 'body'> = {
  target: null,
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};

/** The client speaks the method's own messages. */
function passesBytes({ target }: Call): boolean {
  return target.codec !== 'auto';
}

/** The status, and what to check if it does not explain itself. */
function statusText({ code, details }: CallStatus): string {
  const text = hint({ details, message: details });
  const advice =
    code === status.UNIMPLEMENTED ? ' (is the service in the program at this port?)' : '';
  return `${status[code] ?? code}: ${text}${advice}`;
}
