/**
 * What each method of `pith.v1.Control` needs, and what the audit log says of it. Pure. A method without a row needs
 * `write`, and is in the audit log: a row that was forgotten opens nothing.
 */

/** read: look at sessions and the gateway. write: that and the configuration, act as a player does, and change things. */
export type Role = 'read' | 'write';

/**
 * none: it changes nothing. each: one line for every call. routine: the same, but counted over NATS, where backends call
 * it as part of their work. counted: the first lines of each caller, and the number of those left out.
 */
export type Audited = 'none' | 'each' | 'routine' | 'counted';

export type MethodRule = { readonly role: Role; readonly audited: Audited };

const READ: MethodRule = { role: 'read', audited: 'none' };
const WRITE: MethodRule = { role: 'write', audited: 'each' };
const ROUTINE: MethodRule = { role: 'write', audited: 'routine' };
const PUSH: MethodRule = { role: 'write', audited: 'counted' };

/** By the name of the method. */
export const METHOD_RULES: Readonly<Record<string, MethodRule>> = {
  Push: PUSH,
  PushMany: PUSH,
  Kick: WRITE,
  Bind: ROUTINE,
  Unbind: ROUTINE,
  SetData: ROUTINE,
  Join: ROUTINE,
  Leave: ROUTINE,
  GetSession: READ,
  ListSessions: READ,
  GetPresence: READ,
  ListGroups: READ,
  // It shows what players do; bodies are for the role write, as watch.ts has it.
  Watch: { role: 'read', audited: 'each' },
  Block: WRITE,
  Unblock: WRITE,
  ListBlocks: READ,
  ListGateways: READ,
  ListBackends: READ,
  ListRoutes: READ,
  GetHistory: READ,
  WatchLog: READ,
  Why: READ,
  // Acts as a player does.
  Call: WRITE,
  ExplainRoute: READ,
  Drain: WRITE,
  SetMaintenance: WRITE,
  GetMaintenance: READ,
  SetLogLevel: WRITE,
  Profile: WRITE,
  Reload: WRITE,
  // Secrets are covered, but addresses and limits are not.
  GetConfig: WRITE,
  GetInfo: READ,
  GetPlayground: READ,
};

export function ruleOf(method: string): MethodRule {
  return Object.hasOwn(METHOD_RULES, method) ? METHOD_RULES[method]! : WRITE;
}
