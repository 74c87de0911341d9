/** A chat as the handlers of a Pomelo game have it: bind, set and push, channels, on('closed'), kick. */
const HANDLERS = {
  enter(app, { user, rid }, session) {
    const uid = `${user}*${rid}`;
    session.bind(uid, () => {});
    session.set('rid', rid);
    session.push('rid', () => {});
    const channel = app.get('channelService').getChannel(rid, true);
    session.on('closed', (ended) => {
      channel.leave(ended.uid, app.getServerId());
      channel.pushMessage(
        'onLeave',
        { user: nameOf(ended.uid), rid: ended.get('rid') },
        {},
        () => {},
      );
    });
    channel.pushMessage('onAdd', { user }, {}, () => {});
    channel.add(uid, app.getServerId());
    return { users: channel.getMembers().map(nameOf) };
  },

  send(app, { content }, session) {
    const channel = app.get('channelService').getChannel(session.get('rid'), false);
    channel.pushMessage('onChat', { from: nameOf(session.uid), msg: content }, {}, () => {});
    return {};
  },

  who(_app, _body, session) {
    return { uid: session.uid ?? null, rid: session.get('rid') ?? null };
  },

  change(_app, { rid }, session) {
    session.set('rid', rid);
    session.push('rid', () => {});
    return {};
  },

  logout(_app, _body, session) {
    session.unbind(session.uid, () => {});
    return {};
  },

  kick(app, { user, rid }) {
    app.get('sessionService').kick(`${user}*${rid}`, 'bye', () => {});
    return {};
  },

  refuse() {
    return { code: 403, msg: 'not here' };
  },
};

function nameOf(uid) {
  return uid.split('*')[0];
}

class Pomelo {}
class Pinus {}
for (const [name, handle] of Object.entries(HANDLERS)) {
  Pomelo.prototype[name] = function (body, session, next) {
    next(null, handle(this.app, body, session));
  };
  Pinus.prototype[name] = async function (body, session) {
    return handle(this.app, body, session);
  };
}

module.exports = (app) => Object.assign(new Pomelo(), { app });
module.exports.default = (app) => Object.assign(new Pinus(), { app });
