/** What becomes of connections, and what that does to calls. */
import { ask, bytes, heardFirst, noteStates, openStream, type Row } from '../grpc-script.ts';

export const CONNECTIONS: readonly Row[] = [
  {
    name: 'connects when it is asked to, and calls wait for it',
    play: async (stage) => {
      await stage.listen();
      noteStates(stage);
      stage.seen.push(stage.connection.state(true));
      ask(stage, 'one');
      (await stage.call(1)).say('yes');
      await stage.sees('one status 0');
      stage.connection.close();
    },
    seen: ['idle', 'connecting', 'idle', 'ready', 'one yes', 'one status 0', 'closed'],
    served: ['1 unary', '1 got one'],
  },
  {
    name: 'where nobody listens calls fail at once, and it goes on trying',
    play: async (stage) => {
      await stage.listen();
      await stage.kill();
      noteStates(stage);
      ask(stage, 'one');
      await stage.sees('one status 14 unsent', 'failing');
      // There is a server before the next attempt, and this one does not wait for it.
      ask(stage, 'two');
      await stage.listen();
      await stage.sees('two status 14 unsent', 'ready');
      ask(stage, 'three');
      (await stage.call(1)).say('yes');
      await stage.sees('three status 0');
    },
    seen: [
      'idle',
      'connecting',
      'failing',
      'one error 14 No connection established. Last error: Error: connect ECONNREFUSED ADDRESS. Resolution note:',
      'one status 14 unsent',
      'two error 14 No connection established. Last error: Error: connect ECONNREFUSED ADDRESS. Resolution note:',
      'two status 14 unsent',
      'ready',
      'three yes',
      'three status 0',
    ],
    served: ['1 unary', '1 got three'],
  },
  {
    name: 'a server that dies takes what is in flight with it; the next call connects anew',
    between: true,
    play: async (stage) => {
      await stage.listen();
      noteStates(stage);
      openStream(stage, 's').write(bytes('a'));
      await stage.serves('1 got a');
      await stage.kill();
      await stage.sees('s end');
      await stage.listen();
      ask(stage, 'one');
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
    },
    seen: [
      'idle',
      'connecting',
      'ready',
      'idle',
      's error 14 read ECONNRESET',
      's end',
      'connecting',
      'ready',
      'one yes',
      'one status 0',
    ],
    served: ['1 stream', '1 got a', '2 unary', '2 got one'],
  },
  {
    name: 'renewed, it fails what is in flight, and connects anew',
    play: async (stage) => {
      await stage.listen();
      openStream(stage, 's').write(bytes('a'));
      await stage.serves('1 got a');
      stage.connection.watchState('ready', Infinity, (isLate) => {
        stage.seen.push(`${stage.connection.state(false)} ${isLate}`);
      });
      stage.connection.renew();
      stage.seen.push('renewed');
      await stage.sees('s end');
      await stage.serves('1 cancelled');
      ask(stage, 'one');
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
    },
    seen: [
      'idle false',
      'renewed',
      's error 14 Connection dropped',
      's end',
      'one yes',
      'one status 0',
    ],
    served: ['1 stream', '1 got a', '1 cancelled', '2 unary', '2 got one'],
  },
  {
    name: 'a watch that is over says so, and the state is what it was',
    play: async (stage) => {
      await stage.listen();
      for (const ms of [-1, 100]) {
        stage.connection.watchState('idle', stage.now() + ms, (isLate) => {
          stage.seen.push(`${ms} ${stage.connection.state(false)} ${isLate}`);
        });
        await stage.sees(`${ms} idle true`);
      }
    },
    seen: ['-1 idle true', '100 idle true'],
    served: [],
  },
  {
    name: 'whoever makes it connect, and was told that it is idle, hears of the attempt',
    play: async (stage) => {
      await stage.listen();
      const before = stage.connection.state(true);
      stage.connection.watchState(before, Infinity, () => {
        stage.seen.push(`${before}, then ${stage.connection.state(false)}`);
      });
      await stage.sees('idle, then connecting');
    },
    seen: ['idle, then connecting'],
    served: [],
  },
  {
    name: 'an attempt that leads nowhere lasts until it is given up',
    between: true,
    play: async (stage) => {
      await stage.listen();
      stage.hang();
      noteStates(stage);
      ask(stage, 'one');
      ask(stage, 'two', 200);
      await stage.sees('two status 4');
      stage.connection.renew();
      await stage.sees('one status 14 unsent');
      stage.mend();
      ask(stage, 'three');
      (await stage.call(1)).say('yes');
      await stage.sees('three status 0');
    },
    seen: [
      'idle',
      'connecting',
      'two error 4 Deadline exceeded',
      'two status 4',
      'idle',
      'one error 14 Channel closed before call started',
      'one status 14 unsent',
      'connecting',
      'ready',
      'three yes',
      'three status 0',
    ],
    served: ['1 unary', '1 got three'],
  },
  {
    name: 'a server that lives says something when it is asked to, and one that is frozen does not',
    between: true,
    play: async (stage) => {
      const { connection } = await heardFirst(stage);
      const before = connection.heard;
      connection.ask();
      await stage.until(() => connection.heard > before, 'a sign of life');
      stage.seen.push('heard');
      stage.freeze();
      const frozen = connection.heard;
      connection.ask();
      ask(stage, 'two', 300);
      await stage.sees('two status 4');
      stage.seen.push(`${connection.heard - frozen} more, ${connection.state(false)}`);
      connection.renew();
      stage.mend();
      ask(stage, 'three');
      const call = stage.served.includes('2 got two') ? 3 : 2;
      (await stage.call(call)).say('yes');
      await stage.sees('three status 0');
    },
    seen: [
      'one yes',
      'one status 0',
      'heard',
      'two error 4 Deadline exceeded',
      'two status 4',
      '0 more, ready',
      'three yes',
      'three status 0',
    ],
    served: ['1 unary', '1 got one', '2 unary', '2 got three'],
  },
  {
    name: 'after GOAWAY what is in flight goes on, and calls go to another connection',
    play: async (stage) => {
      await stage.listen();
      noteStates(stage);
      const stream = openStream(stage, 's');
      stream.write(bytes('a'));
      await stage.serves('1 got a');
      stage.goaway();
      await stage.sees('goaway ');
      stream.write(bytes('b'));
      ask(stage, 'one');
      (await stage.call(2)).say('yes');
      await stage.sees('one status 0');
      await stage.serves('1 got b');
      const call = await stage.call(1);
      call.say('1');
      call.end();
      await stage.sees('s end');
    },
    seen: [
      'idle',
      'connecting',
      'ready',
      'idle',
      'goaway',
      'connecting',
      'ready',
      'one yes',
      'one status 0',
      's got 1',
      's end',
    ],
    served: ['1 stream', '1 got a', '1 got b', '2 unary', '2 got one'],
  },
  {
    name: 'renewed after GOAWAY, it lets what is in flight go on',
    play: async (stage) => {
      await stage.listen();
      ask(stage, 'one');
      const one = await stage.call(1);
      stage.goaway();
      await stage.sees('goaway ');
      stage.connection.renew();
      ask(stage, 'two');
      (await stage.call(2)).say('yes');
      await stage.sees('two status 0');
      one.say('late');
      await stage.sees('one status 0');
    },
    seen: ['goaway', 'two yes', 'two status 0', 'one late', 'one status 0'],
    served: ['1 unary', '1 got one', '2 unary', '2 got two'],
  },
  {
    name: 'renewed, it fails a call that may have been carried out',
    play: async (stage) => {
      await stage.listen();
      ask(stage, 'one');
      await stage.serves('1 got one');
      stage.connection.renew();
      await stage.sees('one status 14');
      await stage.serves('1 cancelled');
    },
    seen: ['one error 14 Connection dropped', 'one status 14'],
    served: ['1 unary', '1 got one', '1 cancelled'],
  },
  {
    name: 'a stream that is refused unread is sent once more, with what was written',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      stream.write(bytes('a'));
      stream.write(bytes('b'));
      await stage.serves('1 got b');
      (await stage.call(1)).refuse();
      await stage.serves('2 got b');
      (await stage.call(2)).refuse();
      await stage.sees('s end');
    },
    seen: ['s error 14 Stream refused by server', 's end'],
    served: ['1 stream', '1 got a', '1 got b', '2 stream', '2 got a', '2 got b'],
  },
  {
    name: 'closed, it lets what is in flight go on to its end, and takes nothing more',
    play: async (stage) => {
      await stage.listen();
      const stream = openStream(stage, 's');
      stream.write(bytes('a'));
      const call = await stage.call(1);
      stage.connection.close();
      for (const use of [
        () => ask(stage, 'one'),
        () => stage.connection.watchState('closed', Infinity, () => {}),
      ])
        try {
          use();
        } catch (error) {
          stage.seen.push((error as Error).message);
        }
      await stage.sees('goaway ');
      stream.write(bytes('b'));
      await stage.serves('1 got b');
      call.say('1');
      call.end();
      await stage.sees('s end');
      stage.seen.push(stage.connection.state(true));
    },
    seen: [
      'Channel has been shut down',
      'Channel has been shut down',
      'goaway',
      's got 1',
      's end',
      'closed',
    ],
    served: ['1 stream', '1 got a', '1 got b'],
  },
];
