'use strict';
const SLOW_MS = 20;

class EchoHandler {
  constructor(app) {
    this.app = app;
  }

  echo(msg, session, next) {
    next(null, { code: 200, content: msg.content });
  }

  slow(msg, session, next) {
    setTimeout(() => next(null, { code: 200, content: msg.content }), SLOW_MS);
  }

  join(msg, session, next) {
    session.bind(msg.uid, (error) => {
      this.app.get('channelService').getChannel('bench', true).add(msg.uid, session.frontendId);
      next(error, { code: 200 });
    });
  }

  cast(msg, session, next) {
    const channel = this.app.get('channelService').getChannel('bench', true);
    channel.pushMessage('onCast', { content: msg.content }, () => next(null, { code: 200 }));
  }
}

module.exports = (app) => new EchoHandler(app);
