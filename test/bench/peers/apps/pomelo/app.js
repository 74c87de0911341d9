'use strict';
// A connector and two backends, as Pomelo's own template makes them.
const fs = require('node:fs');
const pomelo = require('pomelo');

const app = pomelo.createApp();
app.set('name', 'bench');
app.configure('development', 'connector', () => {
  const { BENCH_CERT: cert, BENCH_KEY: key } = process.env;
  app.set('connectorConfig', {
    connector: pomelo.connectors.hybridconnector,
    heartbeat: 30,
    useDict: false,
    useProtobuf: false,
    ...(cert && {
      ssl: { type: 'wss', cert: fs.readFileSync(cert), key: fs.readFileSync(key) },
    }),
  });
});
app.start();
process.on('uncaughtException', (error) => console.error(error.stack));
