/**
 * What this gateway tells whoever listens on the bus: sessions and the gateway itself, each with a number. Nothing is
 * waited for; `proto/pith/v1/event.proto` has the shapes.
 */
import type { ClosedSession } from '../contract/facts.ts';
import { endJson, type EventView, sessionView } from '../contract/event-json.ts';
import type { Session } from '../session/session.ts';
import type { SessionEvents } from '../session/session-events.ts';
import { tooLargeFor } from '../upstream/nats/outgoing.ts';
import type { BusParts } from './bus-parts.ts';
import { EventQueue } from './event-queue.ts';

/** At most, of one event. */
const HEADER_BYTES = 256;
/** What still fits where the rest does not. */
const BARE: EventView = { data: [], groups: false };

export type GatewayState = 'ready' | 'draining' | 'stopped';

/** What a gateway tells of itself and of its sessions. */
export interface BusEvents extends SessionEvents {
  gateway(state: GatewayState): void;
  /** A session loses its place to others of its uid: gateways had not reached each other. */
  conflict(session: Session, sids: readonly string[]): void;
}

export class NatsEvents implements BusEvents {
  readonly queue: EventQueue;
  readonly #parts: BusParts;
  /** What events tell of a session from now on. */
  view: EventView;
  /** Of the last event. */
  #seq = 0;
  #sessions = 0;
  /** Events were dropped: what others know of the sessions here is out of date. */
  hasGap = false;

  constructor(parts: BusParts, view: EventView) {
    this.#parts = parts;
    this.view = view;
    const { connector, gatewayId, report, subjects } = parts;
    this.queue = new EventQueue({
      ...{ connector, gatewayId },
      gap: (from, to) => {
        this.hasGap = true;
        report.eventsDropped(from, to);
        const json = { gateway: gatewayId, seq: String(to), from: String(from), to: String(to) };
        return { seq: to, subject: subjects.event('gateway.gap'), payload: bytesOf(json) };
      },
      refused: (subject, why) => {
        report.refused(why.reason, subject, why.message);
      },
    });
  }

  /** Of the last event. */
  get seq(): number {
    return this.#seq;
  }

  /** Those that have opened and not ended. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Another process was this gateway until now, and has said so much. */
  goOn(seq: number, sessions: number): void {
    this.#seq = seq;
    this.#sessions = sessions;
    this.queue.goOn(seq);
  }

  // ---- sessions -----------------------------------------------------------------------------------------

  opened(session: Session): void {
    if (session.isAnnounced) return;
    session.isAnnounced = true;
    this.#sessions++;
    this.#ofSession('opened', session, openedJson(session, false));
  }

  /** Others do not know of it any more. */
  openedAgain(session: Session): void {
    this.#ofSession('opened', session, openedJson(session, true));
  }

  resumed(session: Session): void {
    this.openedAgain(session);
  }

  bound(session: Session): void {
    this.opened(session);
    this.#ofSession('bound', session, {});
  }

  unbound(session: Session, uid: string): void {
    this.#ofSession('unbound', session, { uid });
  }

  closed(session: Session, closed: ClosedSession): void {
    if (!session.isAnnounced) return;
    this.#sessions--;
    this.#ofSession('closed', session, endJson(closed));
  }

  conflict(session: Session, sids: readonly string[]): void {
    this.opened(session);
    this.#ofSession('conflict', session, { sids });
  }

  #ofSession(name: string, session: Session, more: object): void {
    const seq = ++this.#seq;
    const bytes = (view: EventView): Buffer =>
      bytesOf({ session: sessionView(session, view), ...more, seq: String(seq) });
    const { connector, report } = this.#parts;
    const whole = bytes(this.view);
    // Data and groups may have more bytes than NATS takes; the facts have not.
    const tooLarge = tooLargeFor(connector, whole.length + HEADER_BYTES, 0);
    if (tooLarge !== null) report.refused('EVENT_CUT', session.sid, tooLarge.message);
    this.#publish(`session.${name}`, seq, tooLarge === null ? whole : bytes(BARE));
  }

  // ---- this gateway -------------------------------------------------------------------------------------

  gateway(state: GatewayState): void {
    this.ofGateway(state, { sessions: this.#sessions });
  }

  /** An event of this gateway that is counted. */
  ofGateway(name: string, more: object): void {
    const seq = ++this.#seq;
    const json = { gateway: this.#parts.gatewayId, ...more, seq: String(seq) };
    this.#publish(`gateway.${name}`, seq, bytesOf(json));
  }

  #publish(name: string, seq: number, payload: Buffer): void {
    const { report, subjects } = this.#parts;
    report.event(name);
    this.queue.add({ seq, subject: subjects.event(name), payload });
  }
}

function openedJson({ resuming }: Session, again: boolean): object {
  return { again, resumed_from: resuming?.resumedFrom ?? '' };
}

function bytesOf(json: object): Buffer {
  return Buffer.from(JSON.stringify(json));
}
