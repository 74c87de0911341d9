/** The game that is played: routes, backends, and how gateways are configured for them. */
import type { BusView } from './rounds.ts';
import { Stage } from './stage.ts';
import type { World } from './world.ts';

export function makeStage(
  world: World,
  options: { gateways: number; clients: number },
): { stage: Stage; bus: BusView | null } {
  const stage = new Stage({
    ...options,
    world,
    yaml: (place) => `
id: ${place}
listen: [{ url: auto://0.0.0.0:3010 }]
heartbeat: 15s
backends: { echo: { reply: { code: 200, n: 1, by: "x" } } }
routes: [{ match: ">", backend: echo }]
`,
    configurations: 1,
    routes: [
      {
        route: 'echo.a',
        timeoutMs: 5_000,
        weight: 1,
        binds: true,
        idempotent: false,
        ordered: true,
      },
    ],
    servers: () => [],
    backends: () => [],
    dialNats: () => () => Promise.reject(new Error('no bus')),
    connectGrpc: () =>
      (() => {
        throw new Error('x');
      }) as never,
  });
  return { stage, bus: null };
}
