'use strict';
const SLOW_MS = 20;

class EchoHandler {
  constructor(app) {
    this.app = app;
  }

  async echo(msg) {
    return { code: 200, content: msg.content };
  }

  async slow(msg) {
    await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    return { code: 200, content: msg.content };
  }

  async join(msg, session) {
    await new Promise((resolve) => session.bind(msg.uid, resolve));
    this.app.get('channelService').getChannel('bench', true).add(msg.uid, session.frontendId);
    return { code: 200 };
  }

  async cast(msg) {
    const channel = this.app.get('channelService').getChannel('bench', true);
    await new Promise((done) => channel.pushMessage('onCast', { content: msg.content }, {}, done));
    return { code: 200 };
  }
}

exports.default = (app) => new EchoHandler(app);
