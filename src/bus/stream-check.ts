/**
 * Looks whether a JetStream stream captures subjects of the gateway: it would acknowledge every request, and
 * the acknowledgement come where an answer is awaited. Asked once; where nobody may or can say, nothing is said.
 */
import { readObject } from '../contract/json-shapes.ts';
import type { NatsConnector } from '../upstream/nats/connection.ts';
import { STREAM_NAMES, type Subjects } from '../upstream/nats/subjects.ts';
import type { Asks } from './asks.ts';

const WAIT_MS = 2_000;

/** Resolves when all is asked; `onError` has heard of the streams then, if there are any. */
export async function checkStreams(
  connector: NatsConnector,
  subjects: Subjects,
  asks: Asks,
  onError: (what: string) => void,
): Promise<void> {
  const streams = new Set<string>();
  const captured: string[] = [];
  await Promise.all(
    subjects.notForStreams.map(async (subject) => {
      const payload = Buffer.from(JSON.stringify({ subject }));
      const { messages } = await asks.ask(
        (reply) => {
          connector.publish(STREAM_NAMES, payload, { reply });
        },
        WAIT_MS,
        () => true,
      );
      const names = messages[0] === undefined ? [] : streamNames(messages[0].data);
      if (names.length > 0) captured.push(subject);
      for (const name of names) streams.add(name);
    }),
  );
  if (streams.size === 0) return;
  onError(
    `JetStream captures ${captured.sort().join(', ')} in the stream${streams.size === 1 ? '' : 's'} ` +
      `${[...streams].sort().join(', ')}, whose acknowledgements come where answers are awaited: take these ` +
      'subjects out of the stream; only what is under keep may be in one',
  );
}

function streamNames(answer: Uint8Array): string[] {
  try {
    const { streams } = readObject(answer);
    return Array.isArray(streams) ? streams.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}
