/** What reflection answers. By grpcurl: test/integration/control.test.ts. */
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';

import { answerReflection, type ReflectionRequest } from '../../../src/control/reflection.ts';

type Answer = {
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] };
  readonly errorResponse?: { readonly errorCode: number; readonly errorMessage: string };
};

function ask(request: Partial<ReflectionRequest>): Answer {
  return answerReflection({ host: '', ...request }, ['a.B']) as Answer;
}

function filesFor(symbol: string): string[] {
  const answer = ask({ messageRequest: 'fileContainingSymbol', fileContainingSymbol: symbol });
  const files = answer.fileDescriptorResponse?.fileDescriptorProto ?? [];
  return files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

test.each<readonly [symbol: string, file: string]>([
  ['pith.v1.Control', 'pith/v1/control.proto'],
  ['pith.v1.Control.Push', 'pith/v1/control.proto'],
  ['pith.v1.Session', 'pith/v1/session.proto'],
  ['.pith.v1.Session', 'pith/v1/session.proto'],
  ['pith.v1.Session.sid', 'pith/v1/session.proto'],
  ['pith.v1.Delivery', 'pith/v1/session.proto'],
  ['pith.v1.Delivery.DELIVERY_LATEST', 'pith/v1/session.proto'],
  ['pith.v1.Info.BackendInfo', 'pith/v1/control.proto'],
  ['pith.v1.Info.BackendInfo.in_flight', 'pith/v1/control.proto'],
  ['pith.v1.Request.HeadersEntry', 'pith/v1/backend.proto'],
  ['google.protobuf.Duration', 'google/protobuf/duration.proto'],
])('%s is in %s', (symbol, file) => {
  expect(filesFor(symbol)[0]).toBe(file);
});

test('a file comes with all that it imports, each once', () => {
  expect(filesFor('pith.v1.Control').toSorted()).toEqual([
    'google/protobuf/duration.proto',
    'google/protobuf/struct.proto',
    'google/protobuf/timestamp.proto',
    'pith/v1/backend.proto',
    'pith/v1/control.proto',
    'pith/v1/event.proto',
    'pith/v1/session.proto',
  ]);
});

test('a file is found by its name, with its comments', () => {
  const { fileDescriptorResponse } = ask({
    messageRequest: 'fileByFilename',
    fileByFilename: 'pith/v1/session.proto',
  });
  const [file] = fileDescriptorResponse!.fileDescriptorProto;
  const { sourceCodeInfo } = fromBinary(FileDescriptorProtoSchema, file!);
  const comments = sourceCodeInfo!.location.filter((one) => one.leadingComments !== '');
  expect(comments.length).toBeGreaterThan(20);
});

test.each(['', '.', 'pith', 'pith.v1', 'pith.v1.Nothing', 'pith.v1.Session.nothing', 'sid'])(
  'the symbol %j is not found',
  (symbol) => {
    const answer = ask({ messageRequest: 'fileContainingSymbol', fileContainingSymbol: symbol });
    expect(answer.errorResponse).toEqual({ errorCode: 5, errorMessage: `not found: ${symbol}` });
  },
);

test('what else is asked is answered too', () => {
  expect(ask({ messageRequest: 'listServices' })).toMatchObject({
    listServicesResponse: { service: [{ name: 'a.B' }] },
  });
  const file = { messageRequest: 'fileByFilename', fileByFilename: 'x.proto' };
  expect(ask(file).errorResponse).toEqual({ errorCode: 5, errorMessage: 'not found: x.proto' });
  expect(ask({ messageRequest: 'fileContainingExtension' }).errorResponse?.errorCode).toBe(5);
});
