'use strict';
// Waits, in a Node.js that was started ahead, to be told which function it is to serve.
//
// Standard input is a socket: one byte there says that the interpreter is ready, one packet from there is the function's
// environment, each variable as `NAME=value` and a NUL. By then the function's code is where it belongs. Nothing of a function is
// known or run here before that.

const fs = require('fs');

const PACKET_SIZE = 256 * 1024;
// What serving a function takes. `console.cjs` looks at the environment when it is loaded, so it is not among them.
const PRELOADED = ['./connection.cjs', './errors.cjs', './globals.cjs', './invocation.cjs', './loader.cjs', './packages.cjs', './streaming.cjs'];

// Returns with the environment and the working directory of the function.
function wait() {
  process.argv.length = 2;
  for (const module of PRELOADED) require(module);
  fs.writeSync(0, '1');
  const packet = Buffer.allocUnsafeSlow(PACKET_SIZE);
  const size = fs.readSync(0, packet);
  if (size === 0) process.reallyExit(0);
  adopt(packet.toString('utf8', 0, size).split('\0'));
  packet.fill(0, 0, size);
}

function adopt(variables) {
  // The lowest number that is free is the one just closed.
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r');
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const variable of variables) {
    const end = variable.indexOf('=');
    if (end > 0) process.env[variable.slice(0, end)] = variable.slice(end + 1);
  }
  process.chdir(process.env.LAMBDA_TASK_ROOT);
}

module.exports = { wait };
