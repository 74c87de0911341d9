/** What Why answers, as bytes. */
import type { WhyKnown } from '../bus/why.ts';
import { encodeMs, WireWriter } from '../contract/protobuf-wire.ts';
import { adviceOn } from '../failures/advice.ts';
import type { FailureRecord } from '../failures/failure-record.ts';
import { parseRef } from '../ref.ts';

export function whyMessage({ failures, sids, gateways, silentGateways }: WhyKnown): Buffer {
  const writer = new WireWriter();
  for (const record of failures) writer.bytes(1, recordMessage(record));
  writer.strings(2, sids);
  writer.uint(3, gateways);
  writer.strings(4, silentGateways);
  return writer.take();
}

function recordMessage(record: FailureRecord): Buffer {
  const sid = parseRef(record.ref)?.sid ?? '';
  const writer = new WireWriter();
  writer.string(1, record.ref);
  writer.string(2, sid.slice(0, sid.lastIndexOf('.')));
  writer.string(3, sid);
  writer.bytes(4, encodeMs(record.at));
  writer.string(5, record.what);
  writer.string(6, record.uid);
  writer.string(7, record.remoteIp);
  writer.string(8, record.route);
  writer.string(9, record.rule);
  writer.string(10, record.backend);
  writer.string(11, record.address);
  writer.bytes(12, encodeMs(record.waitedMs));
  writer.bytes(13, encodeMs(record.tookMs));
  writer.uint(14, record.retries);
  writer.int32(15, record.code);
  writer.string(16, record.reason);
  writer.string(17, record.message);
  writer.string(18, record.cause);
  writer.string(19, record.by);
  writer.string(20, adviceOn(record));
  return writer.take();
}
