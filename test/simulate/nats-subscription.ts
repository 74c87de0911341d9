/** A subscription in the index of a server: of a client of its own, or of another server for its clients. */
import type { Route } from './nats-route.ts';
import type { Session } from './nats-session.ts';

export class Subscription {
  /** Exactly one of the two. */
  readonly session: Session | null;
  readonly route: Route | null;
  /** The client's number for it; 0 for one of a server. */
  readonly sid: number;
  readonly subject: string;
  /** '': every subscriber gets each message. */
  readonly queue: string;
  /** It has wildcards, or a queue: what its user may not receive is looked at for each message. */
  readonly isWide: boolean;
  /** How many members of the queue group it is for. */
  weight = 1;

  constructor(owner: Session | Route, sid: number, subject: string, queue: string) {
    this.session = owner.kind === 'session' ? owner : null;
    this.route = owner.kind === 'route' ? owner : null;
    this.sid = sid;
    this.subject = subject;
    this.queue = queue;
    this.isWide = queue !== '' || /[*>]/.test(subject);
  }
}
