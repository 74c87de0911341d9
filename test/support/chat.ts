/** What every example chat does, whatever it is written in: two clients of one gateway go through it. */
import { expect } from 'vitest';

import type { TestClient } from './client.ts';

/** The routes of an example's pith.yaml. */
export const CHAT_ROUTES = `
routes:
  - { match: "chat.>", backend: chat, forward: [room] }
`;

/** Join, send, whisper, leave. */
export async function expectChat(ann: TestClient, bob: TestClient): Promise<void> {
  expect(await ann.request('chat.room.join', { name: 'ann', room: 'lobby' })).toEqual({
    code: 200,
    room: 'lobby',
  });
  expect(await bob.request('chat.room.join', { name: 'bob', room: 'lobby' })).toEqual({
    code: 200,
    room: 'lobby',
  });
  expect(await ann.push('onJoin')).toEqual({ name: 'bob' });
  expect(await bob.request('chat.room.send', { text: 'hi' })).toEqual({ code: 200 });
  expect(await ann.push('onChat')).toEqual({ from: 'bob', text: 'hi' });
  expect(bob.pushes('onChat')).toEqual([]);
  expect(await ann.request('chat.room.whisper', { to: 'bob', text: 'psst' })).toMatchObject({
    code: 200,
  });
  await bob.wait(() => bob.pushes().find(({ body }) => body['text'] === 'psst'), 'the whisper');
  expect(await bob.request('chat.room.leave', {})).toMatchObject({ code: 200 });
  expect(await ann.push('onLeave')).toEqual({ name: 'bob' });
}

/** A client that just goes has left its room, too. Not where only Handle is served: there nothing can push. */
export async function expectLeave(ann: TestClient, bob: TestClient): Promise<void> {
  await ann.request('chat.room.join', { name: 'ann', room: 'attic' });
  await bob.request('chat.room.join', { name: 'bob', room: 'attic' });
  const before = ann.pushes('onLeave').length;
  await bob[Symbol.asyncDispose]();
  expect(await ann.push('onLeave', before)).toEqual({ name: 'bob' });
}

/** What is refused, moving to another room, notifies, and names that need encoding. The clients are new ones. */
export async function expectCorners(zoe: TestClient, bob: TestClient): Promise<void> {
  const badBody = { code: 400, reason: 'BAD_BODY' };
  expect(await bob.request('chat.room.join', { name: 'bob' })).toMatchObject(badBody);
  expect(await bob.request('chat.room.join', ['bob'])).toMatchObject(badBody);
  expect(await bob.request('chat.room.join', { name: 1, room: 'x' })).toMatchObject(badBody);
  expect(await bob.request('chat.room.join', Buffer.from('{'))).toMatchObject(badBody);
  expect(await bob.request('chat.room.send', { text: 'hi' })).toMatchObject({
    code: 400,
    reason: 'NOT_IN_ROOM',
  });
  expect(await bob.request('chat.room.dance')).toMatchObject({ code: 404, reason: 'NO_ROUTE' });

  const room = 'Größe 100%41 😀';
  expect(await zoe.request('chat.room.join', { name: 'zoë 1', room })).toEqual({ code: 200, room });
  // A notify has no answer, so the next request shows that it was done: one session's messages keep their order.
  bob.notify('chat.room.join', { name: 'bob', room });
  expect(await zoe.push('onJoin')).toEqual({ name: 'bob' });
  bob.notify('chat.room.send', { text: 'ä' });
  expect(await zoe.push('onChat')).toEqual({ from: 'bob', text: 'ä' });
  await bob.request('chat.room.whisper', { to: 'zoë 1', text: 'psst' });
  expect(await zoe.push('onWhisper')).toEqual({ from: 'bob', text: 'psst' });
  expect(await bob.request('chat.room.join', { name: 'bob', room: 'attic' })).toMatchObject({
    code: 200,
  });
  expect(await zoe.push('onLeave')).toEqual({ name: 'bob' });
  expect(await bob.request('chat.room.leave', {})).toMatchObject({ code: 200 });
  expect(await bob.request('chat.room.leave', {})).toMatchObject({ reason: 'NOT_IN_ROOM' });
}
