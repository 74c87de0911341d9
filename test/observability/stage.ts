/** Where alerts are caused: what a scenario starts ends with it. */
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import type { Stage } from './causes.ts';
import type { Prometheus } from './prometheus.ts';

export async function onStage(
  prometheus: Prometheus,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using things = new AsyncDisposableStack();
  let isOver = false;
  const works: Promise<void>[] = [];
  const stage: Stage = {
    prometheus,
    async gateway(yaml) {
      const gateway = things.use(await serve(yaml));
      const instance = `127.0.0.1:${gateway.healthPort}`;
      prometheus.scrape(instance);
      const asked = `pith_build_info{instance="${instance}"}`;
      await eventually(async () => (await prometheus.query(asked)).length > 0, 'a scrape');
      return gateway;
    },
    again(work) {
      const go = async (): Promise<void> => {
        while (!isOver) {
          await Promise.resolve(work()).catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      works.push(go());
    },
    use: (thing) => things.use(thing),
  };
  try {
    await play(stage);
  } finally {
    isOver = true;
    prometheus.scrape();
  }
  await things.disposeAsync();
  // One that still waits for an answer of the gateway gets none.
  await Promise.race([Promise.all(works), new Promise((resolve) => setTimeout(resolve, 1_000))]);
}
