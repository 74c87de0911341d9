/** What an operator is told when TLS to NATS fails, by what OpenSSL and Node call it. */
import { expect, test } from 'vitest';

import { tlsTrouble } from '../../../../src/upstream/nats/dial-tls.ts';

const alert = (name: string, number: number): Error =>
  new Error(`40:error:0A:SSL routines:ssl3_read_bytes:${name}:rec_layer_s3.c:918:SSL alert number ${number}`); // prettier-ignore

test.each([
  [alert('tlsv13 alert certificate required', 116), /^the server wants a certificate of ours: set nats\.tls\.cert and nats\.tls\.key/], // prettier-ignore
  [alert('tlsv1 alert unknown ca', 48), /^the server refuses our certificate \(.*\): set nats\.tls\.cert/], // prettier-ignore
  [new Error('connection refused', { cause: alert('tlsv13 alert certificate required', 116) }), /^the server wants a certificate/], // prettier-ignore
  [Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), /^the server's certificate is not trusted \(self-signed certificate\): set nats\.tls\.ca/], // prettier-ignore
  [new Error('connection refused'), /^$/],
])('%s', (error, expected) => {
  expect(tlsTrouble(error)).toMatch(expected);
});
