/** The keys of resume tokens: `sessions.resume`. Pure. */
import { parseBus } from './address.ts';
import type { Report, Sections } from './sections.ts';

/** Bytes of a key. [AES-256] */
export const RESUME_KEY_BYTES = 32;
/** Keys that are tried with every token: one in use, one to come, and some to spare. */
export const RESUME_KEYS_MAX = 8;

const MAKE_ONE = 'make one with: openssl rand -base64 32';

/** A key as it is written, in base64 or base64url. @throws {Error} Says what is wrong, without showing the key. */
export function parseResumeKey(text: string): Buffer {
  const base64 = text.trim();
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(base64))
    throw new Error(`not base64; a key is ${RESUME_KEY_BYTES} bytes in base64: ${MAKE_ONE}`);
  const key = Buffer.from(base64, 'base64');
  if (key.length !== RESUME_KEY_BYTES) {
    const bytes = `${key.length} ${key.length === 1 ? 'byte' : 'bytes'}`;
    throw new Error(`${bytes}; a key is ${RESUME_KEY_BYTES} bytes in base64: ${MAKE_ONE}`);
  }
  if (key.every((byte) => byte === 0)) throw new Error(`zeros can be guessed; ${MAKE_ONE}`);
  return key;
}

function checkReplay(windowMs: number, bus: string | undefined, report: Report): void {
  const path = ['sessions', 'resume', 'replay'];
  if (windowMs === 0)
    report(
      path,
      'only sessions that come back are sent what they missed: set sessions.resume.window',
    );
  if (bus !== undefined && parseBus(bus).kind === 'embedded')
    report(path, 'needs NATS with JetStream: set bus, and run `make keep-stream`');
}

/** Tokens are made where there is a window, and only with keys. */
export function checkResume({ known: { sessions, bus } }: Sections, report: Report): void {
  if (sessions === undefined) return;
  const { window, keys, replay } = sessions.resume;
  if (replay) checkReplay(window, bus, report);
  const path = ['sessions', 'resume', 'keys'];
  if (window > 0 && keys.length === 0)
    report(path, `sessions.resume.window needs a key, the same on all gateways; ${MAKE_ONE}`);
  if (keys.length > RESUME_KEYS_MAX)
    report(path, `${keys.length} keys; at most ${RESUME_KEYS_MAX} are allowed`);
  for (const [index, key] of keys.entries()) {
    try {
      parseResumeKey(key);
    } catch (error) {
      report([...path, index], (error as Error).message);
    }
  }
}
