import { describe, expect, test } from 'vitest';

import { decodeMessage, encodeResponse, Message } from '../../../src/protocol/message.ts';
import { comparisonOfLayer } from './comparisons.ts';
import { intendedDifferences } from './intended-differences.ts';
import { layersOfOtherParts, vectors } from './vectors.ts';
import { idEnd } from './wire.ts';

describe('the vector file', () => {
  test('has only layers that are compared here or named as of other parts, not both', () => {
    const layers = new Set(vectors.map(({ layer }) => layer));
    const known = [...Object.keys(comparisonOfLayer), ...Object.keys(layersOfOtherParts)];
    expect(known.toSorted()).toEqual([...layers].toSorted());
  });

  test('has every vector whose difference is intended', () => {
    const names = new Set(vectors.map(({ name }) => name));
    expect(names.size).toBe(vectors.length);
    expect(Object.keys(intendedDifferences).filter((name) => !names.has(name))).toEqual([]);
  });
});

const ours = vectors.filter(({ layer }) => !(layer in layersOfOtherParts));

describe('as the reference', () => {
  for (const vector of ours.filter(({ name }) => !(name in intendedDifferences))) {
    test(`${vector.layer} ${vector.name}`, () => {
      const compared = comparisonOfLayer[vector.layer]!(vector);
      expect(compared.ours).toStrictEqual(compared.reference);
    });
  }
});

describe('unlike the reference', () => {
  for (const vector of ours.filter(({ name }) => name in intendedDifferences)) {
    const difference = intendedDifferences[vector.name]!;
    test(`${vector.layer} ${vector.name}: ${difference.why}`, () => {
      const compared = comparisonOfLayer[vector.layer]!(vector);
      expect(compared.ours).toStrictEqual(difference.ours);
      expect(compared.ours).not.toEqual(compared.reference);
    });
  }
});

describe('an answer', () => {
  const messages = vectors.flatMap(({ name, layer, hex }) => {
    if (hex === null || !/^(message|message-decode|legacy-message|package\+message)$/.test(layer)) {
      return [];
    }
    const bytes = Buffer.from(hex, 'hex');
    return [{ name, bytes: layer === 'package+message' ? bytes.subarray(4) : bytes }];
  });
  // Requests, and responses as well: their ids are of the same make.
  const decodable = messages.filter(({ bytes }) => {
    const fault = decodeMessage(bytes, () => 'some.route', new Message());
    return fault === null && (bytes[0]! & 0x0a) === 0;
  });

  test('is tried with the id of every kind of client', () => {
    expect(decodable.length).toBeGreaterThan(25);
    const idSizes = new Set(decodable.map(({ bytes }) => idEnd(bytes, 1) - 1));
    expect(idSizes).toEqual(new Set([1, 2, 3, 4, 5]));
  });

  for (const { name, bytes } of decodable) {
    test(`to ${name} carries the bytes of its id`, () => {
      const message = new Message();
      decodeMessage(bytes, () => 'some.route', message);
      const id = bytes.subarray(1, idEnd(bytes, 1));
      const answer = encodeResponse(message.rawId, Buffer.from('{}'))!;
      const expected = Buffer.concat([Buffer.from([4]), id, Buffer.from('{}')]);
      expect(answer.subarray(6).toString('hex')).toBe(expected.toString('hex'));
      expect(answer[2]).toBe(4);
    });
  }
});
