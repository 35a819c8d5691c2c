'use strict';
// Waits, in a Node.js that was started ahead, to be told which function it is to serve.
//
// Standard input is a socket: one byte there says that the interpreter is ready, one packet from there is the function's
// environment, each variable as `NAME=value` and a NUL. By then the function's code is where it belongs. Nothing of a function is
// known or run here before that.

const fs = require('fs');

const { rehearse } = require('./rehearsal.cjs');

// Stays as it is, which is as the function has it: without it, even for a moment, the engine compares the host's time zone with all that
// there are.
const TIME_ZONE = 'TZ';
const PACKET_SIZE = 256 * 1024;
// What serving a function takes, beyond what `bootstrap.cjs` has loaded.
const PRELOADED = ['./errors.cjs', './globals.cjs', './packages.cjs', './streaming.cjs'];

// Resolves when this process has the environment and the working directory of the function.
async function wait(Runtime) {
  for (const module of PRELOADED) require(module);
  await rehearse(Runtime);
  const packet = Buffer.allocUnsafeSlow(PACKET_SIZE);
  rehearseAdoption(packet);
  fs.writeSync(0, '1');
  const size = fs.readSync(0, packet);
  if (size === 0) process.reallyExit(0);
  adopt(packet.toString('utf8', 0, size).split('\0'));
  packet.fill(0, 0, size);
}

// Does for nothing what is done when the function is known.
function rehearseAdoption(packet) {
  fs.closeSync(fs.openSync('/dev/null', 'r+'));
  const size = packet.write(Object.entries(process.env).map((variable) => variable.join('=')).join('\0'));
  setVariables(packet.toString('utf8', 0, size).split('\0'));
  process.chdir(process.cwd());
  packet.fill(0, 0, size);
}

function adopt(variables) {
  // The lowest number that is free is the one just closed.
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r+');
  setVariables(variables);
  process.chdir(process.env.LAMBDA_TASK_ROOT);
}

function setVariables(variables) {
  for (const name of Object.keys(process.env)) if (name !== TIME_ZONE) delete process.env[name];
  for (const variable of variables) {
    const end = variable.indexOf('=');
    const name = variable.slice(0, end);
    if (end > 0 && name !== TIME_ZONE) process.env[name] = variable.slice(end + 1);
  }
}

module.exports = { wait };
