/**
 * What nats-server does, as far as the gateway and its backends can feel it. Each row is played to a real server and to
 * its double, and must come true on both.
 */
import { CLUSTERS } from './clusters.ts';
import { BOUNDS, ENDS } from './ends.ts';
import { CONTENT, ORDER, REQUESTS } from './messages.ts';
import { PERMISSIONS } from './permissions.ts';
import type { Row } from './row.ts';
import { ECHO, QUEUES, SUBJECTS } from './subjects.ts';

export const ROWS: readonly Row[] = [
  ...SUBJECTS,
  ...QUEUES,
  ...ECHO,
  ...REQUESTS,
  ...ORDER,
  ...CONTENT,
  ...ENDS,
  ...BOUNDS,
  ...PERMISSIONS,
  ...CLUSTERS,
];
