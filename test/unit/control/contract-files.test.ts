import { expect, test } from 'vitest';

import {
  contractFiles,
  contractFilesWithComments,
  documentedFiles,
} from '../../../src/control/contract-files.ts';

const CONTROL = 'pith/v1/control.proto';

test('messages are converted by files without comments', () => {
  const file = contractFiles().getFile(CONTROL)!;
  expect(file.proto.sourceCodeInfo).toBeUndefined();
  expect(file.messages.map(({ name }) => name)).toContain('ListSessionsRequest');
  expect(file.dependencies.map(({ name }) => name)).toContain('google/protobuf/struct');
});

test('whoever reads the reference gets them', () => {
  const file = contractFilesWithComments().getFile(CONTROL)!;
  expect(file.proto.sourceCodeInfo!.location.length).toBeGreaterThan(100);
});

test('each file is there by its name, as bytes', () => {
  const names = [...documentedFiles().keys()];
  expect(names).toContain('pith/v1/backend.proto');
  expect(names).toContain('google/protobuf/struct.proto');
  expect(Buffer.from(documentedFiles().get(CONTROL)!).toString()).toContain('ListSessions');
});
