/** `make two-versions` with the latest release; without tags, with a revision from before many features. */
import { expect, test } from 'vitest';

import { playAll } from '../two-versions/play.ts';
import { readyRelease } from '../two-versions/release.ts';
import { Stage } from '../two-versions/stage.ts';

test('the last release and this tree share a bus and a backend', async () => {
  const release = readyRelease('');
  await using stage = await Stage.open(release);
  const played = await playAll(stage, release.lacks);
  expect(played.flatMap(({ what, wrong }) => wrong.map((one) => `${what}: ${one}`))).toEqual([]);
  expect(played.length).toBeGreaterThanOrEqual(16);
});
