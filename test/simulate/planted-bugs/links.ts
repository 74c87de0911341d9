/** Planted between a gateway and its backends on gRPC: links, endpoints, who is where. */
import type { Planted } from '../planted.ts';

// oxfmt-ignore
export const LINKS: readonly Planted[] = [
  {
    name: 'calls-outlive-the-link',
    why: 'calls on a link that has ended are not failed',
    file: 'src/upstream/link/link.ts',
    find: "for (const call of this.calls.takeAll()) call.fail(failure('BACKEND_AWAY'));",
    replace: "if (!unimplemented) for (const call of this.calls.takeAll()) if (call.idempotent) call.fail(failure('BACKEND_AWAY'));",
  },
  {
    name: 'credit-is-overdrawn',
    why: 'one message more is sent than the backend has given credit for',
    file: 'src/upstream/link/send-window.ts',
    find: 'return this.#frames < 1 ||',
    replace: 'return this.#frames < 0 ||',
  },
  {
    name: 'cancelled-call-answers-another',
    why: 'the end of a Handle call that was cancelled ends whatever its slot serves by then',
    file: 'src/upstream/grpc/unary-calls.ts',
    find: 'if (call.generation !== generation || call.pending !== unary) return;',
    replace: '',
  },
  {
    name: 'session-moves-while-in-flight',
    why: 'a session leaves an endpoint that is being left while something of it is in flight there',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: '      session.lane.holdUntilEmpty(() => {\n        if (!this.#kept.has(session)) return;\n        this.release(session, isKnown());\n        onReleased?.(session);\n      });',
    replace: '      this.release(session, isKnown());\n      onReleased?.(session);',
  },
  {
    name: 'rebalance-moves-the-busy',
    why: 'a session is brought to another endpoint while something of it is in flight',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: 'if (session.lane.inFlight === 0 && session.lane.waiting === 0) {',
    replace: 'if (session.lane.waiting === 0) {',
  },
  {
    name: 'key-moves-the-busy',
    why: 'a session whose key leads elsewhere goes there while something of it is in flight',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'if (!hasOthersInFlight(call)) return true;',
    replace: 'if (lane.waiting === 0 || call.isInLane) return true;',
  },
  {
    name: 'first-backend-is-not-told',
    why: 'a backend that a session has been moved away from is not told of its end',
    file: 'src/upstream/pool/endpoint-sessions.ts',
    find: '    if (known) this.#known.add(session);\n',
    replace: '',
  },
  {
    name: 'replaced-link-forgets',
    why: 'the backend of a link that is replaced is not told of the end of sessions that it knew before',
    file: 'src/upstream/pool/endpoint-pool.ts',
    find: '    old.sessions.handOver(next.sessions);\n',
    replace: '',
  },
  {
    name: 'closed-goes-to-one',
    why: 'of several backends that have had messages of a session only the first is told of its end',
    file: 'src/upstream/link/link-upstream.ts',
    find: "for (const { transport } of had) transport.tell('closed', event);",
    replace: "had[0]!.transport.tell('closed', event);",
  },
  {
    name: 'each-link-tells-the-end',
    why: 'a backend with several links is told of the end of a session by each of them',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'return oneOfEach(had);',
    replace: 'return had;',
  },
  {
    name: 'retired-link-does-not-tell',
    why: 'the end of a session whose link is being replaced is told to nobody',
    file: 'src/upstream/pool/session-affinity.ts',
    find: 'const all = endpoint === null ? this.#pool.list : [endpoint, ...this.#pool.list];',
    replace: 'const all = this.#pool.list;',
  },
  {
    name: 'attached-link-stays',
    why: 'an attached link that ends with calls in flight is chosen still',
    file: 'src/upstream/dial-in/attached-link.ts',
    find: 'this.endpoint.lost(why);',
    replace: 'if (this.inFlight === 0) this.endpoint.lost(why);',
  },
  {
    name: 'leaving-forever',
    why: 'an endpoint whose backend has asked for new work to go elsewhere gets none when the backend is back',
    file: 'src/upstream/pool/endpoint.ts',
    find: 'if (this.#onIdle === null) this.#isLeaving = false;',
    replace: '',
  },
  {
    name: 'reconnects-once',
    why: 'an endpoint is not tried again when the first attempt after a loss fails',
    file: 'src/upstream/reconnect.ts',
    find: '    this.#upSince = null;\n    this.#wheel.set(this.#again, this.#backoff.next());',
    replace: '    if (this.#upSince !== null) this.#wheel.set(this.#again, this.#backoff.next());\n    this.#upSince = null;',
  },
];
