/** The keys of `consul`: backends that are found there, and the gateway as a service. */
import { z } from 'zod';
import { checkDialled, parseHostPort } from './address.ts';
import { checkOf, choice, duration, flag, pairs, secret, text, texts } from './fields.ts';
import { clientTlsSchema } from './schema-listen.ts';

export const consulSchema = z
  .strictObject({
    address: text(
      '',
      'host:port of the Consul agent, or https://host:port; empty: none.',
      (value) => checkOf(parseHostPort)(value.replace(/^https?:\/\//, '')),
    ),
    token: secret(
      "ACL token: service:read for the backends, service:write for this gateway's service; empty: none.",
    ),
    tls: clientTlsSchema,
    register: flag(false, 'Register this gateway as a service.'),
    service: text('pith', 'Name of the service: A-Z a-z 0-9 -, so that DNS has it too.', (value) =>
      /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(value)
        ? undefined
        : 'expected 1 to 63 of A-Z a-z 0-9 -, not - at an end',
    ),
    advertise: text(
      '',
      "host:port that clients connect to; empty: the first listener's, with our address as the agent sees it.",
      checkDialled,
    ),
    check: choice(
      ['http', 'grpc', 'ttl'],
      'http',
      'How Consul checks this gateway: http: it asks /readyz of `health`; grpc: grpc.health.v1 of `control`; ttl: the gateway reports.',
    ),
    tags: texts('Tags of the service.'),
    meta: pairs(
      'Metadata of the service, besides version, control_port and health_port.',
      checkMeta,
    ),
    deregister_after: duration(
      '1m',
      'Consul removes the service once it has been critical for this long, 1m to 24h.',
      { min: 60_000 },
    ),
  })
  .superRefine(({ address, register }, context) => {
    if (register && address === '')
      context.addIssue({ code: 'custom', message: 'needs consul.address', path: ['register'] });
  })
  .prefault({})
  .describe('Backends whose addresses Consul knows, and this gateway as a service there.');

/** [Consul: metadata of a service] */
function checkMeta(name: string, value: string): string | undefined {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(name)) return 'expected a name of 1 to 128 of A-Z a-z 0-9 _ -';
  if (/^(version|control_port|health_port)$/.test(name)) return 'this one is set by the gateway';
  return value.length <= 512 ? undefined : 'at most 512 characters';
}
