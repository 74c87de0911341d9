// What the tutorial's page asks, and what it makes of the answers and pushes.
'use strict';

const { pomelo } = window;
const element = (id) => document.getElementById(id);
let username, rid;
let isAtGate = false;

function show(isIn) {
  element('loginView').hidden = isIn;
  element('toolbar').hidden = !isIn;
}

function addUser(user) {
  element('usersList').append(new Option(user, user));
}

function addMessage(from, target, text) {
  const message = document.createElement('p');
  message.className = 'message';
  for (const [name, content] of [
    ['nick', `${from} says to ${target === '*' ? 'all' : target}: `],
    ['msg-text', text],
  ]) {
    const part = document.createElement('span');
    part.className = name;
    part.textContent = content;
    message.append(part);
  }
  element('chatHistory').append(message);
}

function fail(text) {
  element('loginError').textContent = text;
  element('loginError').hidden = false;
}

pomelo.on('onChat', ({ from, target, msg }) => addMessage(from, target, msg));
pomelo.on('onAdd', ({ user }) => addUser(user));
pomelo.on('onLeave', ({ user }) => {
  for (const option of [...element('usersList').options])
    if (option.value === user) option.remove();
});
pomelo.on('close', () => {
  if (!isAtGate) show(false);
  isAtGate = false;
});

function enter(host, port) {
  pomelo.init({ host, port, log: true }, () => {
    pomelo.request('connector.entryHandler.enter', { username, rid }, ({ error, users }) => {
      if (error) return fail('Please change your name to login.');
      show(true);
      users.forEach(addUser);
    });
  });
}

element('login').addEventListener('click', () => {
  username = element('loginUser').value;
  rid = element('channelList').value;
  isAtGate = true;
  pomelo.init({ host: location.hostname, port: 3014, log: true }, () => {
    pomelo.request('gate.gateHandler.queryEntry', { uid: username }, ({ code, host, port }) => {
      pomelo.disconnect();
      if (code === 500) fail('There is no server to log in, please wait.');
      else enter(host, port);
    });
  });
});

element('entry').addEventListener('keypress', ({ key }) => {
  const target = element('usersList').value;
  const content = element('entry').value;
  if (key !== 'Enter' || content.trim() === '') return;
  const said = { rid, content, from: username, target };
  pomelo.request('chat.chatHandler.send', said, () => {
    element('entry').value = '';
    if (target !== '*' && target !== username) addMessage(username, target, content);
  });
});
