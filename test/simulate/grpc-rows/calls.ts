/** What becomes of calls and streams. */
import { ask, bytes, heardFirst, NOTHING, openStream, type Row, words } from '../grpc-script.ts';
import { shown, SOURCE } from '../grpc-stage.ts';

export const CALLS: readonly Row[] = [
  {
    name: 'a stream carries messages both ways in their order, and each side ends its own',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      for (const text of ['a', 'b', 'c']) stream.write(bytes(text));
      const call = await stage.call(1);
      for (const text of ['1', '2', '3']) call.say(text);
      await stage.sees('s got 3');
      stream.end();
      await stage.serves('1 end');
      call.say('4');
      call.end();
      await stage.sees('s end');
    },
    seen: ['s got 1', 's got 2', 's got 3', 's got 4', 's end'],
    served: ['1 stream', '1 got a', '1 got b', '1 got c', '1 end'],
  },
  {
    name: 'a server that ends a stream with a status ends both sides',
    play: async (stage) => {
      await stage.listen();
      openStream(stage, 's').write(bytes('a'));
      const call = await stage.call(1);
      call.say('1');
      await stage.sees('s got 1');
      call.end(9, 'no more');
      await stage.sees('s end');
    },
    seen: ['s got 1', 's error 9 no more', 's end'],
    served: ['1 stream', '1 got a'],
  },
  {
    name: 'a stream that is cancelled ends here at once, and the server is told',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      stream.write(bytes('a'));
      await stage.serves('1 got a');
      stream.cancel();
      await stage.sees('s end');
      await stage.serves('1 cancelled');
    },
    seen: ['s error 1 Cancelled on client', 's end'],
    served: ['1 stream', '1 got a', '1 cancelled'],
  },
  {
    // A fault of grpc-js: the stream stays open at the server until the connection ends.
    name: 'a stream cancelled in the turn in which it was opened is still opened',
    play: async (stage) => {
      await heardFirst(stage);
      openStream(stage, 's').cancel();
      await stage.serves('2 stream');
      ask(stage, 'two');
      (await stage.call(3)).say('yes');
      await stage.sees('two status 0');
    },
    seen: [
      'one yes',
      'one status 0',
      's error 1 Cancelled on client',
      's end',
      'two yes',
      'two status 0',
    ],
    served: ['1 unary', '1 got one', '2 stream', '3 unary', '3 got two'],
  },
  {
    name: 'a method that the server has not is UNIMPLEMENTED',
    play: async (stage) => {
      await stage.listen();
      const stream = stage.connection.bidiStream('/t.T/None', NOTHING, Infinity);
      stream.on('data', () => {});
      stream.on('error', (error) => stage.seen.push(words(error, stage)));
      stream.on('end', () => stage.seen.push('end'));
      await stage.sees('end');
    },
    seen: ['12 The server does not implement the method /t.T/None', 'end'],
    served: [],
  },
  {
    name: 'unary calls are answered, or fail by the server’s word',
    play: async (stage) => {
      await stage.listen();
      ask(stage, 'one');
      (await stage.call(1)).say('yes');
      await stage.sees('one status 0');
      ask(stage, 'two', 60_000);
      (await stage.call(2)).end(5, 'not here');
      await stage.sees('two status 5');
    },
    seen: ['one yes', 'one status 0', 'two error 5 not here', 'two status 5'],
    served: ['1 unary', '1 got one', '2 unary', '2 got two'],
  },
  {
    name: 'a unary call that is late is over here, and the server is told',
    play: async (stage) => {
      await stage.listen();
      ask(stage, 'warm');
      (await stage.call(1)).say('up');
      await stage.sees('warm status 0');
      ask(stage, 'late', 100);
      await stage.sees('late status 4');
      await stage.serves('2 cancelled');
    },
    seen: ['warm up', 'warm status 0', 'late error 4 Deadline exceeded', 'late status 4'],
    served: ['1 unary', '1 got warm', '2 unary', '2 got late', '2 cancelled'],
  },
  {
    name: 'a unary call that is cancelled fails, and the server is told',
    play: async (stage) => {
      await stage.listen();
      const request = ask(stage, 'one');
      await stage.serves('1 got one');
      request.cancel();
      await stage.sees('one status 1');
      await stage.serves('1 cancelled');
    },
    seen: ['one error 1 Cancelled on client', 'one status 1'],
    served: ['1 unary', '1 got one', '1 cancelled'],
  },
  {
    name: 'a call to a server stream gets its messages, then its status',
    play: async (stage) => {
      await stage.listen();
      const source = stage.connection.serverStream(SOURCE, bytes('all'), NOTHING, Infinity);
      source.on('metadata', () => stage.seen.push('metadata'));
      source.on('data', (message) => stage.seen.push(`got ${shown(message)}`));
      source.on('error', () => {});
      source.on('status', ({ code }) => stage.seen.push(`status ${code}`));
      source.on('end', () => stage.seen.push('end'));
      const call = await stage.call(1);
      for (const text of ['1', '2']) call.say(text);
      call.end();
      await stage.sees('end');
    },
    seen: ['metadata', 'got 1', 'got 2', 'status 0', 'end'],
    served: ['1 source', '1 got all'],
  },
  {
    name: 'a server that allows one stream gets the next call when that has ended',
    play: async (stage) => {
      await stage.listen(1);
      const stream = openStream(stage, 's');
      stream.write(bytes('a'));
      stream.end();
      await stage.sees('streams 1');
      ask(stage, 'one', 60_000);
      const call = await stage.call(1);
      call.say('1');
      await stage.sees('s got 1');
      stage.seen.push(`${stage.calls.length} call`);
      call.end();
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
    },
    seen: ['streams 1', 's got 1', '1 call', 's end', 'one yes', 'one status 0'],
    served: ['1 stream', '1 got a', '1 end', '2 unary', '2 got one'],
  },
  {
    name: 'a stream that is not read is written to for a while, and holds up no other call',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      const call = await stage.call(1);
      call.pause();
      let written = 0;
      for (let i = 0; i < 64; i++) stream.write(Buffer.alloc(65_536), () => written++);
      ask(stage, 'one');
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
      // 1 MiB that grpc-js keeps, and what the stream's window and the server's own buffers take.
      stage.seen.push(
        written >= 15 && written < 40 ? 'some are written' : `${written} are written`,
      );
      call.resume();
      await stage.until(() => written === 64, 'all to be written');
      const all = (): boolean =>
        stage.served.filter((line) => line.startsWith('1 got')).length === 64;
      await stage.until(all, 'all to come');
      stage.served.splice(0, Infinity, ...new Set(stage.served));
    },
    seen: ['one yes', 'one status 0', 'some are written'],
    served: ['1 stream', '1 got 65536 bytes', '2 unary', '2 got one'],
  },
  {
    name: 'a stream that is paused here gets the rest when it is resumed',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      const call = await stage.call(1);
      call.say('1');
      await stage.sees('s got 1');
      stream.pause();
      call.say('2');
      ask(stage, 'one');
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
      stream.resume();
      await stage.sees('s got 2');
    },
    seen: ['s got 1', 'one yes', 'one status 0', 's got 2'],
    served: ['1 stream', '2 unary', '2 got one'],
  },
];
