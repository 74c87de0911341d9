/**
 * gRPC server reflection, v1 and v1alpha. Comments and imports are included, so `grpcurl describe` shows what the .proto
 * files say.
 */
import type { DescFile } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';

import { contractFiles, documentedFiles } from './contract-files.ts';

/** The file of a service, method, message, field, enum or enum value, fully qualified. */
function fileOfSymbol(symbol: string): DescFile | undefined {
  const name = symbol.replace(/^\./, '');
  const whole = contractFiles().get(name);
  if (whole !== undefined) return whole.file;
  const dot = name.lastIndexOf('.');
  const holder = contractFiles().get(name.slice(0, Math.max(dot, 0)));
  return membersOf(holder).includes(name.slice(dot + 1)) ? holder?.file : undefined;
}

/** The names inside it that have no descriptor of their own. */
function membersOf(holder: ReturnType<ReturnType<typeof contractFiles>['get']>): string[] {
  switch (holder?.kind) {
    case 'message':
      return [...holder.proto.field, ...holder.proto.nestedType].map(({ name }) => name);
    case 'enum':
      return holder.proto.value.map(({ name }) => name);
    case 'service':
      return holder.proto.method.map(({ name }) => name);
    default:
      return [];
  }
}

/** The file and all its imports, so that a client need not ask again. */
function closure(file: DescFile): Uint8Array[] {
  const found = new Set([file]);
  for (const { dependencies } of found) for (const imported of dependencies) found.add(imported);
  return [...found].map(({ proto }) => documentedFiles().get(proto.name)!);
}

/** A request of either version, as decoded by proto-loader. */
export type ReflectionRequest = {
  readonly host: string;
  readonly messageRequest?: string;
  readonly fileByFilename?: string;
  readonly fileContainingSymbol?: string;
};

/** Answers one reflection request. `services`: those that the server has. */
export function answerReflection(request: ReflectionRequest, services: readonly string[]): object {
  const base = { validHost: request.host, originalRequest: request };
  switch (request.messageRequest) {
    case 'listServices':
      return { ...base, listServicesResponse: { service: services.map((name) => ({ name })) } };
    case 'fileByFilename': {
      const name = request.fileByFilename ?? '';
      return { ...base, ...fileResponse(contractFiles().getFile(name), name) };
    }
    case 'fileContainingSymbol': {
      const symbol = request.fileContainingSymbol ?? '';
      return { ...base, ...fileResponse(fileOfSymbol(symbol), symbol) };
    }
    default:
      return {
        ...base,
        errorResponse: {
          errorCode: status.NOT_FOUND,
          errorMessage: 'extensions are not supported',
        },
      };
  }
}

function fileResponse(file: DescFile | undefined, asked: string): object {
  if (file === undefined)
    return { errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `not found: ${asked}` } };
  return { fileDescriptorResponse: { fileDescriptorProto: closure(file) } };
}
