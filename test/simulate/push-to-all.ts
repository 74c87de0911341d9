import type { Stage } from './stage.ts';

const PLAIN = { delivery: 'must', latestKey: '', expiresInMs: 0, afterReply: false } as const;

/** One push to everybody, counted; `done` is told what is wrong with it, '' for nothing. */
export function pushToAll(stage: Stage, done: (problem: string) => void): void {
  const { ledger, running, world } = stage;
  const [gateway] = running;
  if (gateway === undefined) return;
  const way = {
    name: `${gateway.node.name}/control`,
    process: gateway.node.name,
    keepsOrder: true,
    tellsEnds: false,
    order: 0,
  };
  const push = ledger.pushing(
    way,
    { to: { kind: 'all', name: '' }, counted: true, delivery: 'must' },
    '',
  );
  const players = stage.players.filter(({ isActive }) => isActive).length;
  gateway.node.soon(() => {
    gateway.fleetCommands
      .pushCounted(
        { target: { all: true }, route: 'onAll', body: Buffer.from(push.body), ...PLAIN },
        2_000,
      )
      .then(
        (outcome) => {
          if (!('delivered' in outcome)) {
            done(`it failed: ${JSON.stringify(outcome)}`);
            return;
          }
          ledger.pushed(push, { ...outcome, isPartial: outcome.silentGateways.length > 0 });
          world.after(2_000, () => {
            const { gateways, delivered } = outcome;
            const got = push.received.size;
            const isRight =
              gateways === stage.running.length && delivered === players && got === players;
            done(
              isRight
                ? ''
                : `${players} players on ${stage.running.length} gateways: ${delivered} delivered by ${gateways}, ${got} received`,
            );
          });
        },
        (error: unknown) => {
          done(String(error));
        },
      );
  });
}
