/** A backend on NATS and one on a Link that do what a body says: bind, join, leave, push. They keep nothing. */
import { headers as makeHeaders, type NatsConnection } from 'nats';

import { grpcServer, type Running } from '../border/servers.ts';

type Body = {
  readonly bind?: string;
  readonly join?: readonly string[];
  readonly leave?: readonly string[];
  readonly push?: string;
};

const OK = '{"ok":1}';

export function onNats(nc: NatsConnection): void {
  nc.subscribe('pith.rpc.nats.>', {
    queue: 'soak',
    callback: (_, msg) => {
      const { bind, join, leave, push } = msg.json<Body>();
      const headers = makeHeaders();
      if (bind !== undefined) headers.set('Pith-Bind', bind);
      if (join) headers.set('Pith-Join', JSON.stringify(join));
      if (leave) headers.set('Pith-Leave', JSON.stringify(leave));
      if (push !== undefined) {
        const words = makeHeaders();
        words.set('Pith-Route', 'onSoak');
        nc.publish(`pith.group.=${Buffer.from(push).toString('base64url')}.push`, '{}', {
          headers: words,
        });
      }
      msg.respond(OK, { headers });
    },
  });
}

export function onLink(): Promise<Running> {
  return grpcServer(true, ({ body, say }) => {
    const { bind, join = [], leave = [], push } = JSON.parse(body.toString()) as Body;
    const patch = {
      ...(bind !== undefined && { uid: bind }),
      ...{ join, leave },
    };
    const pushed = {
      target: { groups: [push] },
      route: 'onSoak',
      body: { bytes: Buffer.from('{}') },
    };
    say.send({
      frames: [
        {
          id: say.id,
          reply: {
            body: { bytes: Buffer.from(OK) },
            patch,
            ...(push !== undefined && { pushes: [pushed] }),
          },
        },
      ],
    });
    return true;
  });
}
