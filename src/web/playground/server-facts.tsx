/** What a server has said in its handshake: its answer, its dictionary, and its definitions of pomelo-protobuf. */
import { jsonText } from './body.ts';
import type { Player } from './player.ts';

/** Rows of a long dictionary that are shown. */
const ROWS_MAX = 500;

export function ServerFacts({ player }: { readonly player: Player }) {
  const { handshake, definitions } = player;
  if (handshake === null)
    return <p class="empty">Connect, and what the server says is shown here.</p>;
  const routes = Object.entries(definitions.dict);
  return (
    <div class="stack facts">
      <section>
        <h3>Handshake</h3>
        <pre>{jsonText(withoutDefinitions(handshake))}</pre>
      </section>
      <section>
        <h3>Dictionary</h3>
        {routes.length === 0 ? (
          <p class="hint">The server has sent none: routes go as text.</p>
        ) : (
          <dl class="dict">
            {routes.slice(0, ROWS_MAX).map(([route, code]) => (
              <div key={route}>
                <dt>{route}</dt>
                <dd>{String(code)}</dd>
              </div>
            ))}
          </dl>
        )}
        {routes.length > ROWS_MAX && <p class="hint">{routes.length - ROWS_MAX} more</p>}
      </section>
      <Protos title="Protos from client to server" messages={definitions.toServer} />
      <Protos title="Protos from server to client" messages={definitions.fromServer} />
    </div>
  );
}

function Protos({
  title,
  messages,
}: {
  readonly title: string;
  readonly messages: Readonly<Record<string, unknown>>;
}) {
  const names = Object.keys(messages);
  return (
    <section>
      <h3>{title}</h3>
      {names.length === 0 ? (
        <p class="hint">None: bodies go as JSON.</p>
      ) : (
        names.slice(0, ROWS_MAX).map((name) => (
          <details key={name}>
            <summary>{name}</summary>
            <pre>{jsonText(messages[name])}</pre>
          </details>
        ))
      )}
    </section>
  );
}

/** They are shown by themselves. */
function withoutDefinitions(handshake: unknown): unknown {
  const { sys, ...rest } = handshake as { sys?: Record<string, unknown> };
  if (sys === undefined) return rest;
  const { dict: _, protos: __, routeToCode: ___, codeToRoute: ____, ...others } = sys;
  return { ...rest, sys: others };
}
