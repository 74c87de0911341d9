/** Commands that befall gateways, and time. */
import fc from 'fast-check';

import { commandsOf, nth, pick } from './command.ts';
import type { Fleet } from './fleet.ts';
import { askGate, askNew } from './questions.ts';
import { look, lookRound, settled } from './look.ts';
import type { Model } from './model.ts';

const ON_THE_WAY_MS = 10;
/** Of a session whose client may have been found to have vanished while its gateway drained. */
const EITHER = 'draining|heartbeat_timeout';
/** Until the others have heard of a gateway. */
const HEARD_OF_MS = 200;

/** Starts a gateway, and waits until the others have heard of it. */
async function startAt(fleet: Fleet, model: Model, place: string): Promise<void> {
  await fleet.start(place);
  await fleet.wait(HEARD_OF_MS);
  await settled(fleet, model);
}

const wait = commandsOf({
  name: 'wait',
  weight: 8,
  args: fc.constantFrom(1, 30, 250, 700, 2_500, 9_000),
  run: async (model, fleet, ms) => {
    await fleet.wait(ms);
    look(fleet, model);
  },
});

const lookAround = commandsOf({
  name: 'look',
  weight: 8,
  args: fc.constant(null),
  run: (model, fleet) => lookRound(fleet, model),
});

const kill = commandsOf({
  name: 'kill -9',
  weight: 2,
  args: fc.record({ at: nth, startsAfterMs: fc.constantFrom(0, 500, 12_000) }),
  run: async (model, fleet, { at, startsAfterMs }) => {
    if (fleet.running.length === 0) return;
    const { place } = pick(fleet.running, at);
    look(fleet, model);
    fleet.kill(place);
    for (const session of model.at(place)) model.lose(session);
    if (fleet.running.length === 0) model.forgetEnds();
    await fleet.wait(1 + startsAfterMs);
    if (startsAfterMs > 0) await fleet.start(place);
    await fleet.wait(HEARD_OF_MS);
    if (startsAfterMs > 0) await askNew(fleet, place);
    await settled(fleet, model);
  },
});

/** Of those that were killed. */
const start = commandsOf({
  name: 'start',
  weight: 4,
  args: nth,
  run: async (model, fleet, at) => {
    const down = fleet.places.filter((place) => fleet.gateways.get(place) === null);
    if (down.length === 0) return;
    await startAt(fleet, model, pick(down, at));
  },
});

const drain = commandsOf({
  name: 'drain',
  weight: 1,
  args: nth,
  run: async (model, fleet, at) => {
    if (fleet.running.length === 0) return;
    await settled(fleet, model);
    const { place } = pick(fleet.running, at);
    const here = model.at(place);
    await Promise.all([fleet.drain(place), askOthers(fleet, model, place)]);
    for (const session of here)
      if (model.sessions.has(session.sid))
        model.close(session, fleet.nowMs < session.silent.fromMs ? 'draining' : EITHER);
    if (fleet.running.length === 0) model.forgetEnds();
    await startAt(fleet, model, place);
  },
});

/** While `place` still has its clients, and takes some: nobody is sent there any more. */
async function askOthers(fleet: Fleet, model: Model, place: string): Promise<void> {
  // No sooner than the others have heard of it.
  await fleet.wait(ON_THE_WAY_MS);
  const [other] = model.list.filter((one) => one.place !== place && one.guest.isOpen);
  if (other !== undefined) await askGate(fleet, other, place);
}

/** For less time than its clients, and the other gateways, need to miss it. */
const pause = commandsOf({
  name: 'pause',
  weight: 2,
  args: fc.record({ at: nth, ms: fc.constantFrom(60, 700, 2_500) }),
  run: async (model, fleet, { at, ms }) => {
    if (fleet.running.length === 0) return;
    look(fleet, model);
    const { place } = pick(fleet.running, at);
    await fleet.pause(place, ms);
    for (const session of model.at(place)) session.wentOn(fleet.nowMs);
    await fleet.wait(HEARD_OF_MS);
    await settled(fleet, model);
  },
});

const jump = commandsOf({
  name: 'clock jumps',
  weight: 2,
  args: fc.record({ at: nth, ms: fc.constantFrom(-3_600_000, -700, 700, 60_000) }),
  run: (_model, fleet, { at, ms }) => {
    // How long a token and a membership last is said by the wall clocks of two gateways.
    const { running, options } = fleet;
    if (running.length > 0 && !options.resumes) pick(running, at).node.jumpWall(ms);
    return Promise.resolve();
  },
});

const cutBus = commandsOf({
  name: 'bus cut',
  weight: 2,
  args: nth,
  run: async (model, fleet, at) => {
    if (fleet.running.length === 0) return;
    await fleet.cutBus(pick(fleet.running, at).place);
    await settled(fleet, model);
  },
});

export const DISTURBANCES = [wait, lookAround, kill, start, drain, pause, jump, cutBus];
