/** The headers of a request to an HTTP backend: these and no others. */
import type { SessionFacts } from '../../contract/facts.ts';
import type { Call } from '../call.ts';
import { isJson } from '../../protocol/json-scan.ts';
import { sessionHeaders, traceHeaders } from '../../contract/headers.ts';

/** Names and values in turn. */
export type Pairs = readonly string[];

const JSON_TYPE: Pairs = ['Content-Type', 'application/json'];
const BYTES_TYPE: Pairs = ['Content-Type', 'application/octet-stream'];

export class RequestHeaders {
  readonly #fixed: Pairs;

  /** @param fixed Those of the configuration. */
  constructor(fixed: Readonly<Record<string, string>>) {
    this.#fixed = Object.entries(fixed).flat();
  }

  /** Of a request that has a JSON body of our own. */
  get own(): Pairs {
    return [...this.#fixed, ...JSON_TYPE];
  }

  /**
   * @param session What `ofSession` gave.
   * @param leftMs How long the gateway still waits.
   */
  of(call: Call, session: Pairs, leftMs: number): Pairs {
    const isBytes = call.target.codec === 'raw' || !looksLikeJson(call.body);
    const pairs = [
      ...session,
      ...(isBytes ? BYTES_TYPE : JSON_TYPE),
      'Pith-Seq',
      String(call.seq),
      'Pith-Route',
      call.route,
      'Pith-Timeout-Ms',
      String(leftMs),
    ];
    if (call.wantsAnswer) pairs.push('Pith-Id', String(call.session.wire.idOf(call.rawId)));
    if (call.trace !== null) pairs.push(...traceHeaders(call.trace));
    return pairs;
  }

  /** What all requests of a session have in common. */
  readonly ofSession = (session: SessionFacts, forward: readonly string[]): Pairs => [
    ...this.#fixed,
    ...sessionHeaders(session, forward),
  ];
}

/** Objects and arrays by their first byte, which no protobuf message has; anything else is looked through. */
function looksLikeJson(body: Buffer): boolean {
  return body.length === 0 || body[0] === 0x7b || body[0] === 0x5b || isJson(body);
}
