/** `Watch`: what clients send and get, as long as somebody looks. */
import type { FleetWatches } from '../bus/fleet-watches.ts';
import { checkPattern } from '../config/syntax.ts';
import { GatewayError } from '../errors.ts';
import { PER_SECOND_MAX } from '../watch/watch.ts';
import type { MakeMethods, Methods } from './method.ts';
import { orThrow } from './method.ts';

/** Packets a second of each gateway, unless the caller says. */
const PER_SECOND = 100;

/** @param mayShowBodies `admin.watch_bodies`, as it is now. */
export function watchMethods(
  watches: FleetWatches,
  { held }: MakeMethods,
  mayShowBodies: () => boolean,
): Methods {
  return {
    Watch: held('Watch', async function* (request, call, gone) {
      const { target = {}, route = '', bodies = false, perSecond = 0 } = request;
      const wrong = route === '' ? undefined : checkPattern(route);
      if (wrong !== undefined) throw new GatewayError('BAD_ARGUMENT', `route: ${wrong}`);
      if (bodies && call.caller.role !== 'write')
        throw new GatewayError('FORBIDDEN', 'bodies are shown to callers with the role write only');
      if (bodies && !mayShowBodies())
        throw new GatewayError(
          'FORBIDDEN',
          'bodies are not shown here: admin.watch_bodies is false',
        );
      const watch = orThrow(
        watches.begin({
          ...{ target, route, bodies },
          perSecond: Math.min(perSecond || PER_SECOND, PER_SECOND_MAX),
        }),
      );
      const leave = (): void => {
        watch.end('');
      };
      gone.addEventListener('abort', leave);
      try {
        if (!gone.aborted) yield* watch.read();
      } finally {
        gone.removeEventListener('abort', leave);
        leave();
        call.shown = watch.given;
      }
    }),
  };
}
