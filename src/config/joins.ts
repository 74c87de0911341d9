/** Routes that join a group: whether their answers can be snapshots of it. Pure. */
import { backendsOf } from './schema-routes.ts';
import type { Report, Sections } from './sections.ts';

const FIXED: Partial<Record<string, string>> = {
  reply: 'a fixed answer, which is a snapshot of nothing',
  gate: 'a gate, whose answer is a snapshot of nothing',
};

export function checkJoins({ routes, backends, known }: Sections, report: Report): void {
  for (const [index, route] of routes.entries()) {
    if (route === undefined || route.join === '') continue;
    const path = ['routes', index, 'join'];
    if (route.push_route !== '')
      report(
        path,
        'not with push_route: the group would wait until the stream ends; join in a route of its own',
      );
    for (const { backend } of backendsOf(route)) {
      const what = FIXED[backends.get(backend)?.kind ?? ''];
      if (what !== undefined) report(path, `"${backend}" is ${what}`);
    }
    if (known.sessions?.groups === 0)
      report(path, 'sessions.groups is 0, so no session can be in a group');
  }
}
