/** Every target by its name. A worker loads its own alone: the fewer scripts there are, the faster counters are read. */
import type { Target } from './target.ts';

type Load = () => Promise<Target>;

/** The targets of a module, which exports them in one list. */
function from(
  load: () => Promise<{ targets: readonly Target[] }>,
  names: readonly string[],
): Record<string, Load> {
  return Object.fromEntries(
    names.map((name) => [
      name,
      async () => {
        const { targets } = await load();
        const found = targets.find((target) => target.name === name);
        if (found === undefined)
          throw new Error(`no target is named ${name} where targets.ts says`);
        return found;
      },
    ]),
  );
}

export const TARGETS: Readonly<Record<string, Load>> = {
  ...from(() => import('./targets/packets.ts'), ['packets', 'texts', 'message', 'text']),
  ...from(
    () => import('./targets/json.ts'),
    ['json-scan', 'json-numbers', 'exact-json', 'json-bounded'],
  ),
  ...from(
    () => import('./targets/pomelo-protobuf.ts'),
    ['pomelo-protobuf', 'pomelo-protobuf-json', 'pomelo-definitions'],
  ),
};
