/** One backend in mode: method with a service of its own, and a gateway before it. */
import { Metadata } from '@grpc/grpc-js';

import { TestClient } from './client.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { type MethodAsked, MethodBackend } from './method-backend.ts';

export const ECHO_PROTO = `syntax = "proto3"; package t;
  message In { string text = 1; int64 big = 2; }
  message Out { string text = 1; int64 big = 2; repeated int32 list = 3; }
  service Echo { rpc Say(In) returns (Out); rpc Many(In) returns (stream Out); rpc Up(stream In) returns (Out); }
  service Other { rpc Say(In) returns (Out); }`;

/** Answers with what came. */
export const echo = (asked: MethodAsked): void => {
  asked.answer({ text: asked.request['text'], big: asked.request['big'] });
};

export class MethodPair implements AsyncDisposable {
  readonly backend: MethodBackend;
  readonly gateway: TestGateway;

  private constructor(backend: MethodBackend, gateway: TestGateway) {
    this.backend = backend;
    this.gateway = gateway;
  }

  static async start(
    handler: (asked: MethodAsked) => void = echo,
    { keys = '', timeout = '15s', grpc = '' } = {},
  ): Promise<MethodPair> {
    const backend = await MethodBackend.start({
      proto: ECHO_PROTO,
      service: 't.Echo',
      handler,
      reflection: 'v1',
    });
    const gateway = await startGateway(`
backends:
  echo: { grpc: "${grpc || backend.address}", mode: method, services: [t.Echo], reflection: true${keys} }
routes:
  - { match: t.other, backend: echo, method: /t.Other/Say }
  - { match: t.up, backend: echo, method: /t.Echo/Up }
  - { match: t.again, backend: echo, method: /t.Echo/Say, idempotent: true }
  - { match: t.join.say, backend: echo, method: /t.Echo/Say, join: hall }
  - { match: t.join.many, backend: echo, method: /t.Echo/Many, join: hall }
  - { match: t.many, backend: echo, method: /t.Echo/Many, timeout: ${timeout} }
  - { match: "t.>", backend: echo, method: "/t.Echo/{method}", timeout: ${timeout}, forward: [level] }
`);
    return new MethodPair(backend, gateway);
  }

  join(): Promise<TestClient> {
    return TestClient.connect(this.gateway.port, 'tcp');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
  }
}

export function metadata(pairs: Record<string, string | Buffer>): Metadata {
  const made = new Metadata();
  for (const [name, value] of Object.entries(pairs)) made.set(name, value);
  return made;
}
