/** An operator of nats-server with one account: its configuration, and credentials of users. [docs.nats.io, JWT] */
import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';

const base64url = (value: object): string =>
  Buffer.from(JSON.stringify(value)).toString('base64url');
const inUtf8 = new TextDecoder();

function jwtOf(signer: KeyPair, subject: KeyPair, name: string, nats: object): string {
  const claims = {
    jti: name,
    iat: Math.floor(Date.now() / 1_000),
    iss: signer.getPublicKey(),
    name,
    sub: subject.getPublicKey(),
    nats: { ...nats, version: 2 },
  };
  const signed = `${base64url({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64url(claims)}`;
  return `${signed}.${Buffer.from(signer.sign(Buffer.from(signed))).toString('base64url')}`;
}

export class NatsOperator {
  readonly #operator = createOperator();
  readonly #account = createAccount();

  /** Lines for the server's configuration. */
  get config(): string {
    const limits = {
      subs: -1,
      data: -1,
      payload: -1,
      imports: -1,
      exports: -1,
      wildcards: true,
      conn: -1,
      leaf: -1,
    };
    const account = jwtOf(this.#operator, this.#account, 'game', { type: 'account', limits });
    const operator = jwtOf(this.#operator, this.#operator, 'operator', { type: 'operator' });
    return `operator: ${operator}
resolver: MEMORY
resolver_preload: { ${this.#account.getPublicKey()}: ${account} }`;
  }

  /** The text of a credentials file. */
  creds(name: string): string {
    const user = createUser();
    const limits = { subs: -1, data: -1, payload: -1 };
    const jwt = jwtOf(this.#account, user, name, { type: 'user', ...limits });
    return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${inUtf8.decode(user.getSeed())}
------END USER NKEY SEED------
`;
  }
}
