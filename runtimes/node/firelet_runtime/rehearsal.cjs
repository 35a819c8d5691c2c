'use strict';
// Runs one invocation of a function of firelet's own, so that the engine has compiled what the first real one takes.
//
// Speaks to this process itself, and takes back whatever a function could see of it.

const Module = require('module');
const net = require('net');
const path = require('path');

const { rehearseConsole, forgetInvocation } = require('./console.cjs');

const EVENT =
  'HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 1\r\nContent-Length: 2\r\n\r\n{}';
const PRACTICE = path.join(__dirname, 'practice.js');

// Resolves when nothing of it is left. Sockets that end ask whether they are standard error, which would open it for the function.
async function rehearse(Runtime) {
  const own = Object.getOwnPropertyDescriptor(process, 'stderr');
  Object.defineProperty(process, 'stderr', { configurable: true, value: {} });
  rehearseConsole();
  await runOnce(Runtime);
  Object.defineProperty(process, 'stderr', own);
  forgetInvocation();
  delete globalThis.awslambda;
  delete require.cache[PRACTICE];
  for (const key of Object.keys(Module._pathCache)) if (key.startsWith(PRACTICE)) delete Module._pathCache[key];
}

// Serves one event to a runtime, and ends both when it has answered.
function runOnce(Runtime) {
  return new Promise((resolve) => {
    let runtime;
    const end = () => {
      runtime.connection.socket.removeAllListeners('end');
      runtime.connection.socket.destroy();
      server.close(resolve);
    };
    const server = net.createServer((peer) => {
      peer.once('data', () => {
        peer.write(EVENT);
        peer.once('data', end);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      runtime = new Runtime(`127.0.0.1:${server.address().port}`);
      runtime.start(__dirname, 'practice.handler', path.dirname(__dirname));
    });
  });
}

module.exports = { rehearse };
