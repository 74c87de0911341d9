/** Which subscribers get a message. */
import type { Row } from './row.ts';

export const SUBJECTS: readonly Row[] = [
  {
    name: 'a star stands for exactly one token',
    script: `
      a connects
      b connects
      a subscribes game.*
      a subscribes *.login
      a flushes
      b publishes game.move 1
      b publishes game 2
      b publishes game.move.left 3
      b publishes lobby.login 4
      b publishes game.login 5
      a hears game.move 1
      a hears lobby.login 4
      a hears game.login 5
      a hears game.login 5
    `,
  },
  {
    name: 'a greater-than sign stands for one token or more',
    script: `
      a connects
      b connects
      a subscribes game.>
      a flushes
      b publishes game 1
      b publishes game.move 2
      b publishes game.move.left.fast 3
      b publishes gamer.move 4
      a hears game.move 2
      a hears game.move.left.fast 3
    `,
  },
  {
    name: 'stars in the middle, and before a greater-than sign',
    script: `
      a connects
      b connects
      a subscribes pith.*.ann.*
      a subscribes pith.user.*.>
      a flushes
      b publishes pith.user.ann.push 1
      b publishes pith.user.bob.push 2
      b publishes pith.group.ann.push 3
      b publishes pith.user.ann 4
      a hears pith.user.ann.push 1
      a hears pith.user.ann.push 1
      a hears pith.user.bob.push 2
      a hears pith.group.ann.push 3
    `,
  },
  {
    name: 'a lone greater-than sign hears everything',
    script: `
      a connects
      b connects
      a subscribes >
      a flushes
      b publishes x 1
      b publishes x.y.z 2
      a hears x 1
      a hears x.y.z 2
    `,
  },
  {
    name: 'a wildcard is one only as a whole token, and subjects tell capital letters',
    script: `
      a connects
      b connects
      a subscribes game.b*
      a subscribes Game.x
      a flushes
      b publishes game.bob 1
      b publishes game.b* 2
      b publishes game.x 3
      b publishes Game.x 4
      a hears game.b* 2
      a hears Game.x 4
    `,
  },
  {
    name: 'a published star is no wildcard, but a star matches it',
    script: `
      a connects
      b connects
      a subscribes game.*
      a subscribes game.x
      a flushes
      b publishes game.* 1
      a hears game.* 1
    `,
  },
  {
    name: 'a subject with an empty token reaches no one',
    script: `
      a connects
      b connects
      a subscribes >
      b subscribes _INBOX.b.1
      a flushes
      b publishes game..x 1
      b publishes game. 2
      b publishes .game 3 reply _INBOX.b.1
      b publishes game.x 4
      a hears game.x 4
      b hears _INBOX.b.1 - headers NATS/1.0~503|Nats-Subject:~.game||
    `,
  },
  {
    name: 'a subscription to an invalid subject is refused, and the connection stays',
    script: `
      a connects
      b connects
      a subscribes game.>.x
      a is told: error: Invalid Subject
      a subscribes game..x
      a is told: error: Invalid Subject
      a subscribes game.x
      a flushes
      b publishes game.x 1
      a hears game.x 1
    `,
  },
  {
    name: 'two subscriptions to one subject get a message each, and one is left of them',
    script: `
      a connects
      b connects
      a subscribes game.x
      a subscribes game.x
      a flushes
      b publishes game.x 1
      a hears game.x 1
      a hears game.x 1
      a unsubscribes game.x
      a flushes
      b publishes game.x 2
      a hears game.x 2
    `,
  },
];

export const QUEUES: readonly Row[] = [
  {
    name: 'one member of a queue group gets a message, each of them a part',
    script: `
      a connects
      b connects
      c connects
      p connects
      a subscribes job in workers
      b subscribes job in workers
      c subscribes job in workers
      settle
      p publishes 200 times job 1
      a b c share 200 of job 1
    `,
  },
  {
    name: 'two groups and a plain subscriber get each message',
    script: `
      a connects
      b connects
      c connects
      p connects
      a subscribes job in workers
      b subscribes job in loggers
      c subscribes job
      settle
      p publishes job 1
      a hears job 1
      b hears job 1
      c hears job 1
    `,
  },
  {
    name: 'groups of one name are one group, whatever the subjects',
    script: `
      a connects
      b connects
      p connects
      a subscribes job.* in workers
      b subscribes job.x in workers
      settle
      p publishes job.x 1
      one of a b hears job.x 1
      p publishes 100 times job.x 2
      a b share 100 of job.x 2
    `,
  },
  {
    name: 'a client that is in a group and subscribed plainly gets both',
    script: `
      a connects
      p connects
      a subscribes job in workers
      a subscribes job
      settle
      p publishes job 1
      a hears job 1
      a hears job 1
    `,
  },
  {
    name: 'a group goes on with who is left of it',
    script: `
      a connects
      b connects
      p connects
      a subscribes job in workers
      b subscribes job in workers
      settle
      a unsubscribes job
      a flushes
      p publishes 20 times job 1
      b hears 20 times job 1
      b closes
      b is closed
      p subscribes _INBOX.p.*
      p finds no one on job
      p publishes job 2 reply _INBOX.p.1
      p hears _INBOX.p.1 - headers NATS/1.0~503|Nats-Subject:~job||
    `,
  },
];

export const ECHO: readonly Row[] = [
  {
    name: 'a client does not hear itself',
    script: `
      a connects
      b connects
      a subscribes game.x
      b subscribes game.x
      settle
      a publishes game.x 1
      b hears game.x 1
    `,
  },
  {
    name: 'a client that would be the only one to hear itself is told that there is no one',
    script: `
      a connects
      a subscribes game.x
      a subscribes _INBOX.a.*
      a publishes game.x 1 reply _INBOX.a.1
      a hears _INBOX.a.1 - headers NATS/1.0~503|Nats-Subject:~game.x||
    `,
  },
  {
    name: 'a member of a group that publishes to it is passed over',
    script: `
      a connects
      b connects
      a subscribes job in workers
      b subscribes job in workers
      settle
      a publishes 30 times job 1
      b hears 30 times job 1
    `,
  },
];
