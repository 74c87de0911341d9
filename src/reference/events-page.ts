/** Every event that gateways publish. */
import type { DescFile, DescMessage } from '@bufbuild/protobuf';

import { introductionTo } from './comments.ts';
import { heading, page, prose, WRITTEN } from './markdown.ts';
import { closureOf, messagePart } from './messages.ts';

/** @param closed ClosedEvent, which backends without NATS get as well, and so stands in another file. */
export function eventsPage({ messages }: DescFile, closed: DescMessage): string {
  const events = [...messages, closed];
  const others = closureOf(events).filter((message) => !events.includes(message));
  return page(
    WRITTEN,
    heading(1, 'Events'),
    'With a NATS bus, gateways publish these as JSON, for whoever subscribes to `pith.event.>`.',
    ...introductionTo(messages[0]!).map(prose),
    ...events.flatMap((message) => messagePart(message, 2)),
    heading(2, 'What they hold'),
    ...others.flatMap((message) => messagePart(message, 3)),
  );
}
