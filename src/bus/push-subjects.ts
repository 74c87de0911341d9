/** On which subjects a push reaches each session that it is for exactly once. */
import type { Target } from '../contract/commands.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';

/** Subjects that one push is published to; with more targets it goes to all gateways instead. */
const SUBJECTS_PER_PUSH_MAX = 64;

/** null: only a call to all gateways does. */
export function pushSubjects(
  subjects: Subjects,
  { all, sids = [], uids = [], groups = [] }: Target,
): string[] | null {
  const push = (everyVerb: string): string => everyVerb.replace(/\*$/, 'push');
  if (all) return [push(subjects.all)];
  const kinds = Number(sids.length > 0) + Number(uids.length > 0) + Number(groups.length > 0);
  // A session may be in two groups, or be meant by its sid and its user: one subject each would reach it twice.
  if (kinds !== 1 || groups.length > 1 || sids.length + uids.length > SUBJECTS_PER_PUSH_MAX)
    return null;
  if (groups.length === 1) return [push(subjects.everyVerb('group', groups[0]!))];
  if (uids.length > 0)
    return [...new Set(uids)].map((uid) => push(subjects.everyVerb('user', uid)));
  return [...new Set(sids)]
    .map((sid) => subjects.session(sid, 'push'))
    .filter((subject) => subject !== null);
}
