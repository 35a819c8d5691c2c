'use strict';
// Gives `console` AWS's line format, and makes what the function prints leave the process before anything else happens.
//
// Lines go to standard output, or, when `_LAMBDA_TELEMETRY_LOG_FD` names a descriptor, there in AWS's frames (type, length,
// microseconds since 1970, text), which keep a message of several lines together.

const fs = require('fs');
const util = require('util');

const { hasCallbacks } = require('./globals.cjs');

const LEVELS = {
  TRACE: { name: 'TRACE', priority: 1, frameMask: 0x04 },
  DEBUG: { name: 'DEBUG', priority: 2, frameMask: 0x08 },
  INFO: { name: 'INFO', priority: 3, frameMask: 0x0c },
  WARN: { name: 'WARN', priority: 4, frameMask: 0x10 },
  ERROR: { name: 'ERROR', priority: 5, frameMask: 0x14 },
  FATAL: { name: 'FATAL', priority: 6, frameMask: 0x18 },
};
const TEXT_FRAME = 0xa55a0003;
const JSON_FRAME = 0xa55a0002;
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');
const NO_REQUEST_ID = hasCallbacks ? undefined : '-';
const STANDARD_OUTPUT = 1;
const RETRY_MILLISECONDS = 1;

let isJson = false;

function isJsonFormat() {
  return isJson;
}

// Reads the environment, which is that of the function only now in an interpreter that was started ahead of it.
function patchConsole() {
  isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  makeStreamBlocking('stdout');
  makeStreamBlocking('stderr');
  const write = chooseWriter();
  const minimum = (LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE).priority;
  const logAt = (level) => (level.priority < minimum ? () => {} : (message, ...rest) => write(level, message, ...rest));
  console.trace = logAt(LEVELS.TRACE);
  console.debug = logAt(LEVELS.DEBUG);
  console.info = logAt(LEVELS.INFO);
  console.log = console.info;
  console.warn = logAt(LEVELS.WARN);
  console.error = logAt(LEVELS.ERROR);
  console.fatal = logAt(LEVELS.FATAL);
}

function setCurrentInvocation(requestId, tenantId) {
  globalThis[REQUEST_ID] = requestId;
  globalThis[TENANT_ID] = tenantId;
}

// As if there had been no invocation.
function forgetInvocation() {
  delete globalThis[REQUEST_ID];
  delete globalThis[TENANT_ID];
}

// Formats a line that nobody sees.
function rehearseConsole() {
  formatText(new Date(), LEVELS.INFO, ['']);
}

function currentRequestId() {
  return globalThis[REQUEST_ID] ?? NO_REQUEST_ID;
}

// A pipe that is full makes the function wait instead of queueing in memory what a crash would lose.
function makeStreamBlocking(name) {
  const { get, enumerable } = Object.getOwnPropertyDescriptor(process, name);
  let isPrepared = false;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable,
    get() {
      const stream = get.call(process);
      if (!isPrepared) {
        isPrepared = true;
        stream._handle?.setBlocking?.(true);
      }
      return stream;
    },
  });
}

function chooseWriter() {
  const format = isJson ? formatJson : formatText;
  const descriptor = process.env._LAMBDA_TELEMETRY_LOG_FD;
  if (descriptor === undefined) {
    return (level, ...params) => writeFully(STANDARD_OUTPUT, Buffer.from(format(new Date(), level, params) + '\n'));
  }
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  return (level, ...params) => {
    const now = new Date();
    writeFrame(Number(descriptor), now, level, format(now, level, params) + (isJson ? '' : '\n'));
  };
}

function writeFrame(descriptor, now, level, text) {
  const size = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(16 + size);
  frame.writeUInt32BE(((isJson ? JSON_FRAME : TEXT_FRAME) | level.frameMask) >>> 0, 0);
  frame.writeUInt32BE(size, 4);
  frame.writeBigInt64BE(BigInt(now.valueOf()) * 1000n, 8);
  frame.write(text, 16);
  writeFully(descriptor, frame);
}

function writeFully(descriptor, bytes) {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += fs.writeSync(descriptor, bytes, written);
    } catch (error) {
      if (error.code === 'EPIPE') return;
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MILLISECONDS);
    }
  }
}

function formatText(now, level, params) {
  return `${now.toISOString()}\t${currentRequestId()}\t${level.name}\t${util.format(...params)}`;
}

function formatJson(now, level, params) {
  const result = { timestamp: now.toISOString(), level: level.name, requestId: currentRequestId() };
  const tenantId = globalThis[TENANT_ID];
  if (tenantId !== undefined) result.tenantId = tenantId;
  if (params.length === 1) return formatSingleJson(result, params[0]);
  result.message = util.format(...params);
  const error = params.find((param) => param instanceof Error);
  if (error !== undefined) Object.assign(result, describeError(error));
  return JSON.stringify(result);
}

function formatSingleJson(result, message) {
  result.message = message;
  try {
    return JSON.stringify(result, (_, value) => (value instanceof Error ? { ...describeError(value), ...value } : value));
  } catch {
    result.message = util.format(message);
    return JSON.stringify(result);
  }
}

function describeError(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

module.exports = { forgetInvocation, isJsonFormat, patchConsole, rehearseConsole, setCurrentInvocation };
