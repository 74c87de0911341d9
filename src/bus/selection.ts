/** Which sessions of this gateway a target means. */
import type { Target } from '../contract/commands.ts';
import { matcherOf } from '../session/changes.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';

/** All that it names, each once; those that it excepts are among them. */
export function named(registry: Registry, target: Target): Session[] {
  const { all, sids = [], uids = [], groups = [] } = target;
  if (all) return [...registry.all()];
  // Nearly always it is one name, and no session is named twice.
  if (sids.length + uids.length === 0 && groups.length === 1)
    return [...registry.byGroup(groups[0]!)];
  const chosen = new Set<Session>();
  for (const sid of sids) {
    const session = registry.bySid(sid);
    if (session !== undefined) chosen.add(session);
  }
  for (const uid of uids) for (const session of registry.byUid(uid)) chosen.add(session);
  for (const group of groups) for (const session of registry.byGroup(group)) chosen.add(session);
  return [...chosen];
}

/** Whether a session is one that it neither excepts nor excludes by `where`; null: every one is. */
export function filterOf(target: Target): ((session: Session) => boolean) | null {
  const { exceptSids = [], exceptUids = [], where } = target;
  if (exceptSids.length + exceptUids.length === 0 && where === undefined) return null;
  const sids = new Set(exceptSids);
  const uids = new Set(exceptUids);
  const holds = where === undefined ? null : matcherOf(where);
  return (session) =>
    !sids.has(session.sid) &&
    (session.uid === '' || !uids.has(session.uid)) &&
    (holds === null || holds(session.data));
}

/** Of the users and sessions that it names, those that are here. */
export function namesHere(
  registry: Registry,
  { uids = [], sids = [] }: Target,
): { readonly uids: string[]; readonly sids: string[] } {
  return {
    uids: uids.filter((uid) => registry.byUid(uid).size > 0),
    sids: sids.filter((sid) => registry.bySid(sid) !== undefined),
  };
}
