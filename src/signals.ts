/** What the process does when it is sent a signal. */

/** What each signal does. */
export type Signals = {
  /** Once for each SIGTERM and SIGINT. */
  stop(): void;
  /** The parent is gone, if the gateway is to end with it. */
  orphaned(): void;
  reload(): void;
  /** Once for each SIGUSR2. */
  upgrade(): void;
  /** For signals that other programs act on, and Pith does not. */
  unused(name: string): void;
};

/**
 * Called before anything else: the first process of a container is not stopped by a signal that it does not handle.
 * Handling SIGUSR1 keeps Node from opening its debugger to anyone who sends it; `node --inspect` still does.
 */
export function listenToSignals(own: NodeJS.Process, code: number): Signals {
  const signals: Signals = {
    stop: () => own.exit(code),
    orphaned: () => own.exit(code),
    reload: () => {},
    upgrade: () => {},
    unused: () => {},
  };
  for (const name of ['SIGTERM', 'SIGINT']) own.on(name, () => signals.stop());
  own.on('SIGHUP', () => {
    signals.reload();
  });
  own.on('SIGUSR2', () => signals.upgrade());
  own.on('SIGUSR1', () => signals.unused('SIGUSR1'));
  return signals;
}
