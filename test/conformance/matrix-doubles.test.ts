/** The matrix: clients that no registry has, by their doubles. */
import type { Double } from '../families/double.ts';
import { LegacyBundle } from '../families/legacy-bundle.ts';
import { Libpitaya } from '../families/libpitaya.ts';
import { Libpomelo } from '../families/libpomelo.ts';
import { Libpomelo2 } from '../families/libpomelo2.ts';
import type { Target } from '../families/line.ts';
import { Unity } from '../families/unity.ts';
import { Weixin } from '../families/weixin.ts';
import { describeRow, type Driver } from './matrix-cells.ts';

const FAMILIES: Readonly<Record<string, (target: Target) => Promise<Double>>> = {
  'legacy-double': (target) => LegacyBundle.connect(target),
  weixin: (target) => Weixin.connect(target),
  libpomelo: (target) => Libpomelo.connect(target),
  libpomelo2: (target) => Libpomelo2.connect(target),
  unity: (target) => Unity.connect(target),
  libpitaya: (target) => Libpitaya.connect(target),
};

for (const [id, connect] of Object.entries(FAMILIES)) {
  describeRow(id, async (place) => driverOf(await connect(place)));
}

function driverOf(double: Double): Driver {
  return {
    request: (route, body) => double.request(route, body as Record<string, unknown>),
    refusal: (route, body) => double.request(route, body as Record<string, unknown>),
    async notify(route, body) {
      double.notify(route, body as Record<string, unknown>);
    },
    push: (route, n) => double.push(route, n),
    async kicked() {
      const told = await double.kicked();
      await double.ended();
      return told;
    },
    [Symbol.asyncDispose]: () => double[Symbol.asyncDispose](),
  };
}
