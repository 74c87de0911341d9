/**
 * The cluster that all files of this suite share; each has namespaces of its own. KEEP=1 leaves it running and says where
 * it is; CLUSTER=folder takes one that was left. test/cluster/stop.sh ends it.
 */
import type { TestProject } from 'vitest/node';

import { Cluster } from './cluster.ts';

const FAKE_NODES = 6;

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the cluster. */
    cluster: string;
  }
}

export default function setup(project: TestProject): () => void {
  const kept = process.env['CLUSTER'];
  const cluster = kept === undefined ? Cluster.start(FAKE_NODES) : new Cluster(kept);
  project.provide('cluster', cluster.dir);
  return () => {
    if (kept !== undefined) return;
    if (process.env['KEEP'] === '1') console.error(`cluster: left running in ${cluster.dir}`);
    else cluster[Symbol.dispose]();
  };
}
