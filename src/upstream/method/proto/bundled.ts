/** Files that everybody imports and few have: google/protobuf is in the library, google/rpc is written here. */
import type { DescFile } from '@bufbuild/protobuf';
import {
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt';

import { parseProto } from './parser.ts';

const WELL_KNOWN: readonly DescFile[] = [
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
];

/** What an error's details hold. [google.rpc, the standard error model] */
const RPC: Readonly<Record<string, string>> = {
  'google/rpc/code.proto': `
    enum Code { OK = 0; CANCELLED = 1; UNKNOWN = 2; INVALID_ARGUMENT = 3; DEADLINE_EXCEEDED = 4; NOT_FOUND = 5;
      ALREADY_EXISTS = 6; PERMISSION_DENIED = 7; UNAUTHENTICATED = 16; RESOURCE_EXHAUSTED = 8;
      FAILED_PRECONDITION = 9; ABORTED = 10; OUT_OF_RANGE = 11; UNIMPLEMENTED = 12; INTERNAL = 13;
      UNAVAILABLE = 14; DATA_LOSS = 15; }`,
  'google/rpc/status.proto': `import "google/protobuf/any.proto";
    message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }`,
  'google/rpc/error_details.proto': `import "google/protobuf/duration.proto";
    message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
    message RetryInfo { google.protobuf.Duration retry_delay = 1; }
    message DebugInfo { repeated string stack_entries = 1; string detail = 2; }
    message QuotaFailure {
      message Violation { string subject = 1; string description = 2; string api_service = 3;
        string quota_metric = 4; string quota_id = 5; map<string, string> quota_dimensions = 6;
        int64 quota_value = 7; optional int64 future_quota_value = 8; }
      repeated Violation violations = 1; }
    message PreconditionFailure {
      message Violation { string type = 1; string subject = 2; string description = 3; }
      repeated Violation violations = 1; }
    message BadRequest {
      message FieldViolation { string field = 1; string description = 2; string reason = 3;
        LocalizedMessage localized_message = 4; }
      repeated FieldViolation field_violations = 1; }
    message RequestInfo { string request_id = 1; string serving_data = 2; }
    message ResourceInfo { string resource_type = 1; string resource_name = 2; string owner = 3;
      string description = 4; }
    message Help { message Link { string description = 1; string url = 2; } repeated Link links = 1; }
    message LocalizedMessage { string locale = 1; string message = 2; }`,
};

/** The bundled file of this name; undefined: there is none. */
export function bundledFile(name: string): FileDescriptorProto | undefined {
  const text = Object.hasOwn(RPC, name) ? RPC[name] : undefined;
  if (text !== undefined) return parseProto(name, `syntax = "proto3"; package google.rpc; ${text}`);
  return WELL_KNOWN.find((file) => file.proto.name === name)?.proto;
}
