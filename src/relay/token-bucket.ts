/** A rate with a burst: so many at once after a rest, and so many a second from then on. */

/** What is left of it. */
export type TokenBucket = {
  /** NaN: nothing was taken yet, so it is full. */
  tokens: number;
  /** When that was, on the monotonic clock. */
  tokensAt: number;
};

/** Takes one. Returns 0, or the milliseconds until there is one. */
export function takeToken(
  bucket: TokenBucket,
  perSecond: number,
  burst: number,
  now: number,
): number {
  if (Number.isNaN(bucket.tokens)) bucket.tokens = burst;
  else
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.tokensAt) * perSecond) / 1_000);
  bucket.tokensAt = now;
  if (bucket.tokens < 1) return Math.max(1, Math.ceil(((1 - bucket.tokens) * 1_000) / perSecond));
  bucket.tokens--;
  return 0;
}
