/** Where we differ from the reference on purpose: why, and what our code gives instead. */
export type IntendedDifference = { readonly why: string; readonly ours: unknown };

const plain = { compressRoute: 0, route: 'a.b.c', bodyHex: '7b7d', compressGzip: 0 };
const emptyResponse = { type: 2, compressRoute: 0, route: null, bodyHex: '', compressGzip: 0 };
const waits = (heldBytes: number) => ({ packets: [], fault: null, heldBytes });
const refusesType = { packets: [], fault: 'bad_packet_type', heldBytes: 0 };
const heartbeat = { type: 3, body: '' };

/** 40 doubles, 0 to 9 over and over, in field 1. */
const doubles = Buffer.alloc(2 + 40 * 8);
doubles.set([0x09, 40]);
for (let i = 0; i < 40; i++) doubles.writeDoubleLE(i % 10, 2 + i * 8);

export const intendedDifferences: Readonly<Record<string, IntendedDifference>> = {
  'pkg-data-overflow-16777216-header': {
    why: 'the reference wraps the length to 0 and breaks the stream; ours throws',
    ours: 'refused',
  },
  'pkg-type-256-masked': {
    why: 'the type is masked to 0 by both, and our reader refuses type 0',
    ours: { encoded: '0000000178', decoded: refusesType },
  },
  'pkgdec-1byte': {
    why: 'the reference reads missing length bytes as 0; ours waits for them',
    ours: waits(1),
  },
  'pkgdec-truncated-header': {
    why: 'the reference reads missing length bytes as 0; ours waits for them',
    ours: waits(2),
  },
  'pkgdec-truncated-body': {
    why: 'the reference pads the body with zeros; ours waits for it',
    ours: waits(6),
  },
  'pkgdec-len-too-big-2pkgs': {
    why: 'the reference allocates and pads what was announced; ours gives what is whole and waits',
    ours: { packets: [heartbeat], fault: null, heldBytes: 5 },
  },
  'pkgdec-type0': { why: 'the reference lets every type pass; ours faults', ours: refusesType },
  'pkgdec-type6': { why: 'the reference lets every type pass; ours faults', ours: refusesType },
  'legacy-pkgdec-two': {
    why: 'the old bundle loses all but the first packet of a frame; ours gives both',
    ours: { packets: [heartbeat, heartbeat], fault: null, heldBytes: 0 },
  },
  'msg-gzip-bit-request': {
    why: 'ours reads the compress bit but never writes it, since it never compresses',
    ours: {
      encoded: '000105612e622e637b7d',
      decodedOwn: { ...plain, id: 1, type: 0 },
      decoded: { ...plain, id: 1, type: 0, compressGzip: 1 },
    },
  },
  'msg-gzip-bit-response': {
    why: 'ours reads the compress bit but never writes it, since it never compresses',
    ours: {
      encoded: '04017b7d',
      decodedOwn: { ...plain, id: 1, type: 2, route: null },
      decoded: { ...plain, id: 1, type: 2, route: null, compressGzip: 1 },
    },
  },
  'msg-request-dict-0': {
    why: 'code 0 is never in a dictionary: the server behind the reference codec drops it, ours says so',
    ours: {
      encoded: '010100007b7d',
      decodedOwn: { fault: 'unknown_route_code' },
      decoded: { fault: 'unknown_route_code' },
    },
  },
  'msg-request-dict-string-route': {
    why: 'ours takes the flag from the type of the route, so that the two cannot disagree',
    ours: {
      encoded: '000105612e622e637b7d',
      decodedOwn: { ...plain, id: 1, type: 0 },
      decoded: null,
    },
  },
  'msg-request-id-2147483648': {
    why: 'the reference cuts the tail off for ids from 2^31 on; ours writes and reads five id bytes',
    ours: {
      encoded: '00808080800805612e622e637b7d',
      decodedOwn: { ...plain, id: 2_147_483_648, type: 0 },
      decoded: { fault: 'truncated' },
    },
  },
  'msg-request-id-4294967295': {
    why: 'the reference cuts the tail off for ids from 2^31 on; ours writes and reads five id bytes',
    ours: {
      encoded: '00ffffffff0f05612e622e637b7d',
      decodedOwn: { ...plain, id: 4_294_967_295, type: 0 },
      decoded: { fault: 'truncated' },
    },
  },
  'msg-type-7': {
    why: 'the reference refuses types above 3 when it runs; ours has no function to ask for one',
    ours: { kinds: [0, 1, 2, 3], decoded: { fault: 'bad_kind' } },
  },
  'msgdec-empty': {
    why: 'the reference throws on missing bytes; ours returns a fault',
    ours: { fault: 'empty' },
  },
  'msgdec-flag-only-request': {
    why: 'the reference throws on missing bytes; ours returns a fault',
    ours: { fault: 'truncated' },
  },
  'msgdec-truncated-dict-route': {
    why: 'the reference throws on missing bytes; ours returns a fault',
    ours: { fault: 'truncated' },
  },
  'msgdec-truncated-id': {
    why: 'the reference throws on missing bytes; ours returns a fault',
    ours: { fault: 'truncated' },
  },
  'msgdec-id-2^31': {
    why: 'the reference makes the id negative; ours reads 35 bits',
    ours: { ...emptyResponse, id: 2_147_483_648 },
  },
  'msgdec-id-5bytes-max': {
    why: 'the reference makes the id negative; ours reads 35 bits',
    ours: { ...emptyResponse, id: 4_294_967_295 },
  },
  'msgdec-type4': {
    why: 'the reference passes types 4 to 7 without a route; ours faults',
    ours: { fault: 'bad_kind' },
  },
  'msgdec-type7': {
    why: 'the reference passes types 4 to 7 without a route; ours faults',
    ours: { fault: 'bad_kind' },
  },
  'pb-double-buffer-overflow': {
    why: 'the reference makes room for twice the JSON and throws when that is too little; ours makes more',
    ours: { encoded: doubles.toString('hex'), decoded: 'nothing', fromBrowser: 'nothing' },
  },
  'pbdec-string-too-long': {
    why: 'the reference takes what there is of a string; ours faults',
    ours: 'nothing',
  },
  'pbdec-string-huge-len': {
    why: 'the reference takes what there is of a string; ours faults',
    ours: 'nothing',
  },
  'pbdec-browser-cesu8-emoji': {
    why: 'the reference reads UTF-8 alone; ours also what browsers make of characters beyond the basic plane',
    ours: { v: '\u{1f602}' },
  },
  'pbdec-uint32-10-bytes': {
    why: 'the reference gives a number with loss; ours faults above 2^53 - 1',
    ours: 'nothing',
  },
  'legacy-request-id-256': {
    why: 'the reference loses a low group of 0 of an old client; ours answers with the id bytes as they came',
    ours: legacy(2, '0482007b7d', 256),
  },
  'legacy-request-id-16384': {
    why: 'the reference loses a low group of 0 of an old client; ours answers with the id bytes as they came',
    ours: legacy(1, '048180007b7d', 16_384),
  },
  'legacy-request-id-16512': {
    why: 'the reference loses a low group of 0 of an old client; ours answers with the id bytes as they came',
    ours: legacy(129, '048181007b7d', 16_512),
  },
};

function legacy(serverReadsId: number, answer: string, clientSeesId: number) {
  return { fault: null, route: 'a.b.c', bodyHex: '7b7d', serverReadsId, answer, clientSeesId };
}
