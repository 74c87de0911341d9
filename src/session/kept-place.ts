/** Where a session is among the pushes that JetStream keeps for its user. */
export type KeptPlace = {
  /** The stream's number of the last push that it has got, or of where the stream ended before; -1: not known yet. */
  seq: number;
  /** `seq` is that of a push to this user. */
  isOwn: boolean;
  /** What was stored before is not for it, in milliseconds since the epoch; counts while `seq` is not known. */
  since: number;
  /** Its client is told the number of each push. */
  readonly tellsCursor: boolean;
  /** It is read for what it lacks, which nobody needs once it is over; null: it is not. */
  catchUp: { end(): void } | null;
};
