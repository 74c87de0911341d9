/**
 * One instance of a backend, in a process of its own: it serves until SIGTERM, goes away as the page of its transport
 * says, and tells its parent what has come.
 */
import { SERVE } from './kinds.ts';
import { type Question, Records } from './records.ts';

/** How it is told what to be: as JSON, in its first argument. */
export type InstanceOrder = {
  readonly kind: keyof typeof SERVE;
  readonly name: string;
  /** Where it listens, or connects to: a port, a path or a URL. */
  readonly where: string;
};

/** Milliseconds of work, at most, for each request: some of a client's overlap. */
const WORK_MS = 40;

const order = JSON.parse(process.argv[2]!) as InstanceOrder;
const records = new Records();

const leave = await SERVE[order.kind](order, (body, answer) => {
  const { client, number } = JSON.parse(body.toString()) as Question;
  const place = records.came({ client, number });
  setTimeout(() => {
    records.answered(place);
    answer(Buffer.from(JSON.stringify({ client, number, by: order.name })));
  }, Math.random() * WORK_MS);
});
process.send!('ready');

// Whoever has started it is gone.
process.once('disconnect', () => process.exit(1));

process.once('SIGTERM', () => {
  void (async () => {
    await leave();
    process.send!(records.all(), () => {
      process.exit(0);
    });
  })();
});
