/** The methods of Control over NATS: JSON in, JSON out, one answer each. */
import { type Clock, nextTurn } from '../clock.ts';
import type { ControlApi, ControlScope, StatusKind } from '../bus/bus.ts';
import { type Failure, failure, GatewayError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { FleetStatus } from './fleet-status.ts';
import { JsonMessages, LARGE_BYTES } from './json-messages.ts';
import { type Asked, controlError, type Method, type Methods } from './method.ts';

/** Calls of one gateway are refused until it is configured. */
export const BUS_ADMIN_OFF =
  'this gateway does not serve Control for one gateway over NATS: set bus_admin: true';

export type BusApiParts = {
  /** All methods, as on the other transports. */
  readonly methods: Methods;
  /** In place of those that stream on the other transports: one page, of this type. */
  readonly pages: Readonly<Record<string, { readonly method: Method; readonly type: string }>>;
  /** Which of the methods are about one gateway. */
  readonly own: ReadonlySet<string>;
  /** `bus_admin` */
  readonly servesOwn: boolean;
  /** What this gateway tells of itself. */
  readonly status: Pick<FleetStatus, 'own'>;
  readonly service: string;
  readonly clock: Clock;
  readonly log: Log;
  /** `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number | undefined;
};

export class BusApi implements ControlApi {
  readonly #parts: BusApiParts;
  /** Made for the first call. */
  #messages: JsonMessages | null = null;

  constructor(parts: BusApiParts) {
    this.#parts = parts;
  }

  async call(
    scope: ControlScope,
    name: string,
    payload: Buffer,
    replyTo: string,
  ): Promise<object | Failure> {
    try {
      const refused = this.#refusal(scope, name);
      if (refused !== null) return refused;
      return await this.#run(await this.#messagesOf(), name, payload, replyTo);
    } catch (error) {
      const { reason, message } = controlError(error, this.#parts.log);
      return failure(reason, message);
    }
  }

  status(kind: StatusKind, fields: Readonly<Record<string, unknown>>): readonly object[] {
    return this.#parts.status.own(kind, fields);
  }

  async #messagesOf(): Promise<JsonMessages> {
    const { service, convertBytesMax, clock } = this.#parts;
    if (this.#messages === null) {
      this.#messages = new JsonMessages(service, convertBytesMax);
      await nextTurn(clock);
    }
    return this.#messages;
  }

  async #run(
    messages: JsonMessages,
    name: string,
    payload: Buffer,
    replyTo: string,
  ): Promise<object> {
    const page = this.#parts.pages[name];
    const method = this.#served(name);
    const request = messages.request(name, textOf(payload));
    if (payload.length > LARGE_BYTES) await nextTurn(this.#parts.clock);
    if (!isForBus(method)) throw new GatewayError('UNSUPPORTED');
    const asked: Asked = {
      caller: { via: 'nats', name: '', address: replyTo, role: 'write' },
      convertBytesMax: Infinity,
    };
    const answer = method.streams
      ? await first(method.run(request, asked))
      : await method.run(request, asked);
    if (answer.length > LARGE_BYTES) await nextTurn(this.#parts.clock);
    const json =
      page === undefined ? messages.answer(name, answer) : messages.json(page.type, answer);
    return json as object;
  }

  /** A method in the form that NATS has of it, where there are two. */
  #served(name: string): Method {
    const { methods, pages } = this.#parts;
    return pages[name]?.method ?? methods[name]!;
  }

  #refusal(scope: ControlScope, name: string): Failure | null {
    const { methods, own, servesOwn } = this.#parts;
    if (scope === 'gateway' && !servesOwn) return failure('UNSUPPORTED', BUS_ADMIN_OFF);
    const isOwn = own.has(name);
    if (Object.hasOwn(methods, name) && isOwn === (scope === 'gateway')) {
      if (isForBus(this.#served(name))) return null;
      return failure('UNSUPPORTED', `${name} is not served over NATS`);
    }
    if (isOwn)
      return failure(
        'UNSUPPORTED',
        `${name} acts on one gateway: send it to gateway.<gateway id>.${name}`,
      );
    if (Object.hasOwn(methods, name))
      return failure('UNSUPPORTED', `${name} reaches the whole fleet: send it to control.${name}`);
    const here = Object.keys(methods).filter(
      (one) => own.has(one) === (scope === 'gateway') && isForBus(this.#served(one)),
    );
    return failure('UNSUPPORTED', `no method ${name.slice(0, 64)}; there are ${here.join(', ')}`);
  }
}

type BusMethod = Extract<Method, { streams: boolean }>;

/** Over NATS there are one request and one answer. */
function isForBus(method: Method): method is BusMethod {
  return typeof method.streams === 'boolean';
}

/** The first answer of a stream; the others are still made. */
async function first(answers: AsyncIterable<Buffer>): Promise<Buffer> {
  for await (const answer of answers) return answer;
  throw new GatewayError('INTERNAL', 'a stream without an answer');
}

function textOf(payload: Buffer): string {
  try {
    return UTF_8.decode(payload);
  } catch {
    throw new GatewayError('BAD_BODY', 'the body is not UTF-8');
  }
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });
