'use strict';
// Waits, in a Node.js that was started ahead, to be told which function it is to serve.
//
// Standard input is a socket: one byte there says that the interpreter is ready, one packet from there is the function's
// environment, each variable as `NAME=value` and a NUL. By then the function's code is where it belongs. Nothing of a function is
// known or run here before that.

const fs = require('fs');
const net = require('net');

const { Connection } = require('./connection.cjs');

// Stays as it is, which is as the function has it: without it, even for a moment, the engine compares the host's time zone with all that
// there are.
const TIME_ZONE = 'TZ';
const PACKET_SIZE = 256 * 1024;
// What serving a function takes, beyond what `bootstrap.cjs` has loaded.
const PRELOADED = ['./errors.cjs', './globals.cjs', './packages.cjs', './streaming.cjs'];
const PRACTICE_RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';

// Resolves when this process has the environment and the working directory of the function.
async function wait() {
  for (const module of PRELOADED) require(module);
  await practise();
  fs.writeSync(0, '1');
  const packet = Buffer.allocUnsafeSlow(PACKET_SIZE);
  const size = fs.readSync(0, packet);
  if (size === 0) process.reallyExit(0);
  adopt(packet.toString('utf8', 0, size).split('\0'));
  packet.fill(0, 0, size);
}

// Has the engine compile what the first invocation takes. Sockets that end ask whether they are standard error, which would open
// it for the function.
async function practise() {
  const own = Object.getOwnPropertyDescriptor(process, 'stderr');
  Object.defineProperty(process, 'stderr', { configurable: true, value: {} });
  await exchange();
  Object.defineProperty(process, 'stderr', own);
}

// One exchange with this process itself.
function exchange() {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.once('data', () => socket.end(PRACTICE_RESPONSE)));
    server.listen(0, '127.0.0.1', () => {
      const connection = new Connection(`127.0.0.1:${server.address().port}`, () => {
        connection.socket.removeAllListeners('end');
        connection.socket.destroy();
        server.close(resolve);
      });
      connection.hold();
      connection.send('GET / HTTP/1.1\r\n\r\n');
    });
  });
}

function adopt(variables) {
  // The lowest number that is free is the one just closed.
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r+');
  for (const name of Object.keys(process.env)) if (name !== TIME_ZONE) delete process.env[name];
  for (const variable of variables) {
    const end = variable.indexOf('=');
    const name = variable.slice(0, end);
    if (end > 0 && name !== TIME_ZONE) process.env[name] = variable.slice(end + 1);
  }
  process.chdir(process.env.LAMBDA_TASK_ROOT);
}

module.exports = { wait };
