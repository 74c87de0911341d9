/** The first frame of a backend that attaches: who it is, and what it shows for it. Pure. */
import { WireReader } from '../../contract/protobuf-wire.ts';

export type AttachHello = {
  /** Which of the configured backends it serves. */
  readonly backend: string;
  readonly token: string;
};

/** Reads the BackendHello that a ToGateway begins with; null: it begins with something else. @throws {WireError} */
export function readAttachHello(message: Buffer): AttachHello | null {
  const frames = new WireReader(message);
  while (frames.next()) {
    if (frames.field === 1) return readFrame(frames.message());
    frames.skip();
  }
  return null;
}

/** Fields may come in any order. */
function readFrame(frame: WireReader): AttachHello | null {
  let hello: AttachHello | null = null;
  while (frame.next()) {
    if (frame.field === 2) hello = readHello(frame.message());
    else frame.skip();
  }
  return hello;
}

function readHello(reader: WireReader): AttachHello {
  let backend = '';
  let token = '';
  while (reader.next()) {
    if (reader.field === 6) backend = reader.string();
    else if (reader.field === 7) token = reader.string();
    else reader.skip();
  }
  return { backend, token };
}
