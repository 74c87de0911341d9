/** Keys about who may call on the control and admin ports. */
import { z } from 'zod';
import { isSpiffeRule } from '../spiffe.ts';
import { checkedText, choice, secret, text } from './fields.ts';

const role = () => choice(['read', 'write'], 'write', 'read: look only; write: change too.');

/** The same on both ports. */
export const accessKeys = {
  token: secret(
    'Bearer token that callers must show; it may do everything. Empty: none. At least 24 characters, e.g. from openssl rand -hex 32.',
  ),
  tokens: z
    .array(
      z.strictObject({
        token: secret('Bearer token, at least 24 characters, e.g. from openssl rand -hex 32.'),
        role: role(),
        name: text('', 'Who has it, for the audit log; empty: the key, as control.tokens[0].'),
      }),
    )
    .prefault([])
    .describe('Further tokens, each with what it may do.'),
  spiffe: z
    .array(
      z.strictObject({
        id: checkedText((value) =>
          isSpiffeRule(value)
            ? undefined
            : 'expected a SPIFFE id, as spiffe://example.org/ops, or all below one, as spiffe://example.org/ops/*',
        ).describe('Id in the URI name of a client certificate; /* at the end: every id below.'),
        role: role(),
      }),
    )
    .prefault([])
    .describe('Client certificates that may call: signed by tls.ca, with one of these SPIFFE ids.'),
};
