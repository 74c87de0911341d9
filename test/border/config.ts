/** The gateway that is attacked: every kind of backend twice, an honest one (a) and a hostile one (x). */
export const KINDS = ['link', 'handle', 'method', 'nats', 'http', 'ipc', 'dial', 'dialws'] as const;
export type Kind = (typeof KINDS)[number];
export type Side = 'a' | 'x';

/** Where the backends that do not dial in are. */
export type Places = Readonly<
  Record<Side, Readonly<Record<'link' | 'handle' | 'method' | 'http' | 'ipc', string>>>
>;

/** By the order of `listen`. */
export const LISTENERS = ['pomelo', 'pitaya', 'nano', 'json'] as const;

/** What a client of the gateway may send at most; beyond it the connection is closed. */
export const PACKET_BYTES = 4 * 1_048_576;
/** How long a backend has that may well give no answer. */
const TIMEOUT_MS = 3_000;
/** How long it has where an answer has to come. Long: a machine that does much else is no fault of the gateway. */
export const ANSWER_TIMEOUT_MS = 60_000;

/** The gateway beside it, which asks a hostile backend who may come in; it has no port that is known before. */
export function doorConfigOf(natsPort: number, places: Places['x'], kind: Kind): string {
  const at: Partial<Record<Kind, string>> = {
    link: `grpc: "${places.link}"`,
    handle: `grpc: "${places.handle}", mode: handle`,
    nats: 'nats: {}',
    http: `http: "${places.http}"`,
    ipc: `ipc: "${places.ipc}"`,
  };
  return `
id: door
bus: "nats://127.0.0.1:${natsPort}"
listen: [{ url: "auto://127.0.0.1:0" }]
auth: { mode: connect, backend: x${kind} }
backends: { x${kind}: { ${at[kind]} } }
routes: [{ match: "x.>", backend: x${kind} }]
drain: { budget: 2s, per_second: 10000 }
`;
}

/** Routes are <side><kind>.echo.<anything>, as xnats.echo.say. */
export function configOf(natsPort: number, places: Places): string {
  const backends: string[] = [];
  for (const side of ['a', 'x'] as const) {
    const at = places[side];
    backends.push(
      `  ${side}link: { grpc: "${at.link}" }`,
      `  ${side}handle: { grpc: "${at.handle}", mode: handle }`,
      `  ${side}method: { grpc: "${at.method}", mode: method, services: [border.Say], reflection: true }`,
      `  ${side}nats: { nats: {} }`,
      `  ${side}http: { http: "${at.http}" }`,
      `  ${side}ipc: { ipc: "${at.ipc}" }`,
      `  ${side}dial: { dial_in: {} }`,
      `  ${side}dialws: { dial_in: {} }`,
    );
  }
  const routes = ['a', 'x'].flatMap((side) =>
    KINDS.map((kind) => {
      const method = kind === 'method' ? ', method: /border.Say/Echo' : '';
      const to = `backend: ${side}${kind}${method}, forward: ["*"]`;
      return [
        `  - { match: "${side}${kind}.echo.say", ${to}, timeout: ${ANSWER_TIMEOUT_MS}ms }`,
        `  - { match: "${side}${kind}.echo.whole", ${to}, timeout: ${ANSWER_TIMEOUT_MS}ms }`,
        `  - { match: "${side}${kind}.>", ${to}, timeout: ${TIMEOUT_MS}ms }`,
      ].join('\n');
    }),
  );
  return `
id: border
bus: "nats://127.0.0.1:${natsPort}"
listen:
  - { url: "auto://127.0.0.1:0" }
  - { url: "auto://127.0.0.1:0", dialect: pitaya }
  - { url: "auto://127.0.0.1:0", dialect: nano, answer_errors: true }
  - { url: "ws://127.0.0.1:0", dialect: json }
backends:
${backends.join('\n')}
routes:
${routes.join('\n')}
  - { match: "strip.>", backend: xipc, rename: "{handler}.{method}" }
  - { match: "web.>", backend: xhttp, path: "/{handler}/{method}" }
  - { match: ">", backend: xipc, timeout: ${TIMEOUT_MS}ms }
limits: { packet: ${PACKET_BYTES}, event_loop_lag: 0s, messages_per_second: 100000, burst: 100000 }
drain: { budget: 3s, per_second: 10000 }
`;
}
