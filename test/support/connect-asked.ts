/** A handshake that a gateway asks a gRPC backend about, as the backend got it. */
import { type sendUnaryData, status } from '@grpc/grpc-js';

import type { JsonObject } from '../../src/contract/commands.ts';
import type { BackendLink } from './backend-link.ts';
import { type ConnectShape, fromStruct, type Shape, toStruct } from './grpc-shapes.ts';

type By =
  | { readonly link: BackendLink; readonly id: number }
  | { readonly done: sendUnaryData<Shape | Buffer>; readonly ms: number };

export class ConnectAsked {
  readonly instance: string;
  readonly request: ConnectShape;
  /** By the call Connect: milliseconds left of grpc-timeout when it came; NaN on a Link. */
  readonly deadlineMs: number;
  /** The call was cancelled; on a Link, a Cancel frame came. */
  cancelled = false;
  readonly #by: By;

  constructor(instance: string, request: ConnectShape, by: By) {
    this.instance = instance;
    this.request = request;
    this.#by = by;
    this.deadlineMs = 'ms' in by ? by.ms : Number.NaN;
  }

  /** null: by the call Connect. */
  get link(): BackendLink | null {
    return 'link' in this.#by ? this.#by.link : null;
  }

  get id(): number {
    return 'link' in this.#by ? this.#by.id : 0;
  }

  get sid(): string {
    return this.request.session.sid;
  }

  /** The client's block of the handshake. */
  get user(): JsonObject {
    return fromStruct(this.request.user);
  }

  /** Answers with a ConnectResponse, or with bytes that are none. */
  answer(response: Shape | Buffer): void {
    if ('done' in this.#by) this.#by.done(null, response);
    else this.#by.link.send({ id: this.#by.id, connect: response });
  }

  accept(user: JsonObject | null = null, more: Shape = {}): void {
    this.answer({ accept: { ...(user && { user: toStruct(user) }), ...more } });
  }

  refuse(error: Shape): void {
    this.answer({ error });
  }

  /** By the call only: a status instead of a response. */
  end(code: status, details = 'test'): void {
    if ('done' in this.#by) this.#by.done({ code, details });
  }
}
