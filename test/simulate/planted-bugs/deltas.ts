/** Planted in what a client gets behind a snapshot of a group. */
import type { Planted } from '../planted.ts';

// oxfmt-ignore
export const DELTAS: readonly Planted[] = [
  {
    name: 'pushes-overtake-the-snapshot',
    why: 'what comes for the group while a member asks for a new snapshot does not wait for it',
    file: 'src/session/snapshot-joins.ts',
    find: 'const view = session.deltas.begin(group, isTrial);',
    replace: 'const view = session.deltas.begin(group, isTrial);\n    if (!isTrial) view.pending = 0;',
  },
  {
    name: 'first-answer-lets-go',
    why: 'of several requests that join a group, the first that is answered ends the wait of all',
    file: 'src/session/deltas.ts',
    find: "    if (view.pending > 0) return false;\n    if (view.isTrial)",
    replace: '    if (view.pending > 0 && answer === null) return false;\n    view.pending = 0;\n    if (view.isTrial)',
  },
  {
    name: 'failed-join-stays',
    why: 'a session stays in the group that it has joined for a request that fails',
    file: 'src/session/deltas.ts',
    find: 'if (view.isTrial) return true;',
    replace: '',
  },
  {
    name: 'jump-is-kept-quiet',
    why: 'a client that asked is not told that numbers are missing',
    file: 'src/session/group-view.ts',
    find: 'if (cursor.n > seen.n + 1) this.miss(after(seen), before(cursor));',
    replace: '',
  },
];
