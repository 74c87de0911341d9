/** What scripts for a stage of gRPC are written with. */
import { Metadata } from '@grpc/grpc-js';

import type {
  CallError,
  ConnectionState,
  MessageStream,
  UnaryRequest,
} from '../../src/upstream/grpc-client/grpc-connection.ts';
import { type GrpcStage, shown, STREAM, UNARY } from './grpc-stage.ts';

export const NOTHING = new Metadata();
export const bytes = (text: string): Buffer => Buffer.from(text);

/** Without what is of one run: times, the address. */
export function words(
  { code, details }: Pick<CallError, 'code' | 'details'>,
  stage: GrpcStage,
): string {
  const text = details
    .replace(/^(Deadline exceeded).*/, '$1')
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, '')
    .replace(stage.address.replace('ipv4:', ''), 'ADDRESS');
  return `${code} ${text}`.trim();
}

export function openStream(stage: GrpcStage, name: string): MessageStream {
  const stream = stage.connection.bidiStream(STREAM, NOTHING, Infinity);
  stream.on('data', (message) => {
    stage.seen.push(`${name} got ${shown(message)}`);
  });
  stream.on('error', (error) => {
    stage.seen.push(`${name} error ${words(error, stage)}`);
  });
  stream.on('end', () => {
    stage.seen.push(`${name} end`);
  });
  return stream;
}

export function ask(stage: GrpcStage, name: string, ms = Infinity, path = UNARY): UnaryRequest {
  const { connection } = stage;
  const request = connection.unary(
    path,
    bytes(name),
    NOTHING,
    stage.now() + ms,
    (error, answer) => {
      stage.seen.push(
        `${name} ${error === null ? shown(answer!) : `error ${words(error, stage)}`}`,
      );
    },
  );
  request.on('status', (ended) => {
    const unsent = connection.isUnsent(request, ended) ? ' unsent' : '';
    stage.seen.push(`${name} status ${ended.code}${unsent}`);
  });
  return request;
}

/** Notes each state from now on, until it is 'closed'. */
export function noteStates(stage: GrpcStage): void {
  const { connection } = stage;
  let before: ConnectionState | null = null;
  const look = (): void => {
    const state = connection.state(false);
    if (state !== before) stage.seen.push(state);
    before = state;
    if (state !== 'closed') connection.watchState(state, Infinity, look);
  };
  look();
}

/** A script, and what comes of it. */
export type Row = {
  readonly name: string;
  readonly play: (stage: GrpcStage) => Promise<void>;
  /** By the client. */
  readonly seen: readonly string[];
  /** By the server; which of two calls saw something first does not count. */
  readonly served: readonly string[];
  /** Something befalls what is between the two. */
  readonly between?: true;
};

/** Once there is a connection. */
export async function heardFirst(stage: GrpcStage): Promise<GrpcStage> {
  await stage.listen();
  ask(stage, 'one');
  (await stage.call(1)).say('yes');
  await stage.sees('one status 0');
  return stage;
}
