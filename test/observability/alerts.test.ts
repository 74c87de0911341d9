/** Each alert of deploy/observability/alerts.yaml is caused, and fires in a Prometheus that scrapes the gateway. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { CAUSES } from './causes.ts';
import { type Prometheus, startPrometheus } from './prometheus.ts';
import { onStage } from './stage.ts';

let prometheus: Prometheus;

beforeAll(async () => {
  prometheus = await startPrometheus();
});

afterAll(async () => {
  await prometheus[Symbol.asyncDispose]();
});

test.each(Object.entries(CAUSES))('%s fires when it is caused', async (name, cause) => {
  await onStage(prometheus, async (stage) => {
    const labels = await cause(stage);
    const { annotations } = await prometheus.fires(name, labels);
    expect(annotations['summary']).not.toMatch(/<no value>|<error/);
  });
});
