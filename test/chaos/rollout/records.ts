/** What an instance of a backend writes down of each request: who asked, which of theirs it was, when it came, and when it was answered. */

/** A request's body, and the beginning of its answer. */
export type Question = { readonly client: number; readonly number: number };

/** Numbers of one request, side by side. */
const [CLIENT, NUMBER, CAME, ANSWERED] = [0, 1, 2, 3] as const;
const WIDTH = 4;

export class Records {
  #numbers: number[] = [];

  /** It has come. Returns its place, for `answered`. */
  came({ client, number }: Question): number {
    return this.#numbers.push(client, number, now(), Number.NaN) - WIDTH;
  }

  answered(place: number): void {
    this.#numbers[place + ANSWERED] = now();
  }

  all(): Float64Array {
    return Float64Array.from(this.#numbers);
  }
}

export type Came = {
  readonly instance: number;
  readonly client: number;
  readonly number: number;
  /** Milliseconds on the clock of the machine. */
  readonly at: number;
  /** NaN: never. */
  readonly answeredAt: number;
};

/** All that has come to all instances, by their numbers. */
export function cameTo(instances: readonly Float64Array[]): Came[] {
  return instances.flatMap((numbers, instance) => {
    const came: Came[] = [];
    for (let i = 0; i < numbers.length; i += WIDTH)
      came.push({
        instance,
        client: numbers[i + CLIENT]!,
        number: numbers[i + NUMBER]!,
        at: numbers[i + CAME]!,
        answeredAt: numbers[i + ANSWERED]!,
      });
    return came;
  });
}

/** How many came twice, and how often the order of a client's requests was not kept. */
export function judged(all: readonly Came[]): { twice: number; disordered: number } {
  const byClient = Map.groupBy(all, ({ client }) => client);
  let [twice, disordered] = [0, 0];
  for (const came of byClient.values()) {
    twice += came.length - new Set(came.map(({ number }) => number)).size;
    disordered += breaks(came);
  }
  return { twice, disordered };
}

/**
 * A request may not come before one that was sent earlier; nor, at another instance, before those have been answered
 * that the one before still had.
 */
function breaks(came: readonly Came[]): number {
  const inTime = came.toSorted((a, b) => a.at - b.at);
  let found = 0;
  let highest = -1;
  for (const { number } of inTime) {
    if (number < highest) found++;
    highest = Math.max(highest, number);
  }
  /** By instance: when the last of those so far was answered. */
  const answeredAt = new Map<number, number>();
  for (const one of came.toSorted((a, b) => a.number - b.number)) {
    for (const [instance, at] of answeredAt) if (instance !== one.instance && at > one.at) found++;
    answeredAt.set(one.instance, Math.max(answeredAt.get(one.instance) ?? 0, one.answeredAt || 0));
  }
  return found;
}

/** All processes of a machine have this clock in common. */
function now(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
