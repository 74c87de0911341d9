/** The alerts in short: promtool's tests, and one caused on a real gateway. All of them: make observability-test. */
import { describe, expect, test } from 'vitest';

import { CAUSES } from '../observability/causes.ts';
import { OBSERVABILITY, startPrometheus } from '../observability/prometheus.ts';
import { onStage } from '../observability/stage.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { run } from '../support/process.ts';

describe.skipIf(!hasProgram('promtool') || !hasProgram('prometheus'))(
  'deploy/observability',
  () => {
    test('the rules pass promtool, and their tests', async () => {
      const file = `${OBSERVABILITY}/alerts.yaml`;
      expect(await run('promtool', ['check', 'rules', file])).toMatchObject({ code: 0 });
      const tests = await run('promtool', ['test', 'rules', 'alerts.test.yaml'], {
        cwd: OBSERVABILITY,
      });
      expect(tests, tests.output).toMatchObject({ code: 0 });
    });

    test('a gateway that dies is seen', async () => {
      await using prometheus = await startPrometheus();
      await onStage(prometheus, async (stage) => {
        const labels = await CAUSES['PithGatewayDown']!(stage);
        const { annotations } = await prometheus.fires('PithGatewayDown', labels);
        expect(annotations['summary']).toBe(`Gateway ${labels['instance']} cannot be scraped`);
      });
    });
  },
);
