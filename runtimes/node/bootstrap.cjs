'use strict';
// Starts a Node.js function and runs its handler for one invocation after the other.
//
// Keeps no state of its own between invocations but the connection. While the handler runs, the connection does not hold the
// event loop, so that "the event loop is empty" means what it means on AWS.

const fs = require('fs');
const path = require('path');

const { Connection } = require('./firelet_runtime/connection.cjs');
const { patchConsole, setCurrentInvocation } = require('./firelet_runtime/console.cjs');
const { hasCallbacks } = require('./firelet_runtime/globals.cjs');
const { loadHandler } = require('./firelet_runtime/loader.cjs');
const { Invocation } = require('./firelet_runtime/invocation.cjs');

const API = '/2018-06-01/runtime';
// Has an outcome answered with the next event.
const NEXT = 'Firelet-Runtime-Next: 1\r\n';
// An answer in pieces; its trailers say whether it is whole.
const STREAM_HEADERS =
  'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
  'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n';
const EXIT_UNCAUGHT_EXCEPTION = 129;
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNSETTLED_IMPORT = 13;

const settled = Promise.resolve();

const errors = () => require('./firelet_runtime/errors.cjs');

class Runtime {
  constructor(address) {
    this.connection = new Connection(address, (status, headers, body) => this.receive(status, headers, body));
    this.nextRequest = `GET ${API}/invocation/next HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
    this.postMiddle = ` HTTP/1.1\r\nHost: ${address}\r\nContent-Type: `;
    this.function = {
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    };
    this.handler = undefined;
    this.invocation = undefined;
    this.isReporting = false;
    // The answer of the current invocation while it is sent in pieces.
    this.stream = undefined;
    this.exitStatus = undefined;
    this.onEmptyEventLoop = () => process.exit(EXIT_UNSETTLED_IMPORT);
  }

  async start(taskRoot, handlerName, runtimeRoot) {
    try {
      this.handler = await loadHandler(taskRoot, handlerName, runtimeRoot);
    } catch (error) {
      this.failInit(hasCallbacks ? 'Uncaught Exception' : 'Init Error', error, hasCallbacks ? EXIT_UNCAUGHT_EXCEPTION : 1);
      return;
    }
    this.onEmptyEventLoop = undefined;
    this.connection.hold();
    this.connection.send(this.nextRequest);
  }

  receive(status, headers, body) {
    if (this.exitStatus !== undefined) process.exit(this.exitStatus);
    if (this.stream !== undefined) {
      this.finishStream(status);
      return;
    }
    if (status !== 200) {
      this.survive(status);
      return;
    }
    this.isReporting = false;
    this.connection.release();
    const invocation = new Invocation(this, headers);
    this.invocation = invocation;
    setCurrentInvocation(invocation.requestId, headers['lambda-runtime-aws-tenant-id']);
    // On a stack of its own: the connection's frames would fill the function's stack traces.
    settled.then(() => invocation.run(body));
  }

  // Says what the Runtime API refused, and asks for the next invocation.
  survive(status) {
    if (!this.isReporting) {
      console.error(`LAMBDA_RUNTIME Failed to get next invocation. Http response code: ${status}.`);
      process.exit(1);
    }
    this.logRefusal(status);
    this.isReporting = false;
    this.connection.send(this.nextRequest);
  }

  logRefusal(status) {
    console.error(`LAMBDA_RUNTIME Failed to post handler response. Http response code: ${status}.`);
  }

  // Sends the head of an answer that comes in pieces, in front of the first of them. Answers the parts to send.
  startStream(invocation, stream, contentType) {
    this.stream = stream;
    const head = `POST ${API}/invocation/${invocation.requestId}/response${this.postMiddle}${contentType}\r\n`;
    return [head + STREAM_HEADERS];
  }

  // The Runtime API has answered a whole stream.
  finishStream(status) {
    const { stream } = this;
    if (status !== 202) this.logRefusal(status);
    this.stream = undefined;
    this.invocation = undefined;
    this.connection.release();
    stream.answered();
  }

  // Asks for the next invocation.
  next() {
    this.onEmptyEventLoop = undefined;
    this.connection.hold();
    this.connection.send(this.nextRequest);
  }

  // Reports the outcome of the current invocation, which asks for the next one.
  finish(invocation, outcome, contentType, body, headers = '') {
    if (invocation !== this.invocation || this.exitStatus !== undefined) return;
    this.invocation = undefined;
    this.onEmptyEventLoop = undefined;
    this.connection.hold();
    this.isReporting = true;
    this.post(`invocation/${invocation.requestId}/${outcome}`, contentType, body, NEXT + headers);
  }

  post(resource, contentType, body, headers) {
    const head = `POST ${API}/${resource}${this.postMiddle}${contentType}\r\n${headers}Content-Length: `;
    this.connection.send(head + Buffer.byteLength(body) + '\r\n\r\n', body);
  }

  failInit(title, error, exitStatus) {
    errors().logError(title, error);
    const { body, type } = errors().payload(error);
    this.exitAfter(exitStatus, 'init/error', body, errors().typeHeader(type));
  }

  // Ends the process for an error that no handler caught.
  crash(title, error, exitStatus) {
    if (this.exitStatus !== undefined) return;
    if (this.handler === undefined) {
      this.failInit(title, error, exitStatus);
      return;
    }
    errors().logError(title, error);
    if (this.invocation === undefined) process.exit(exitStatus);
    if (this.stream !== undefined) {
      this.exitStatus = exitStatus;
      this.onEmptyEventLoop = undefined;
      this.stream.breakOff(error);
      return;
    }
    const { body, headers } = errors().payload(error);
    this.exitAfter(exitStatus, `invocation/${this.invocation.requestId}/error`, body, headers);
  }

  exitAfter(exitStatus, resource, body, headers) {
    this.exitStatus = exitStatus;
    this.onEmptyEventLoop = undefined;
    this.connection.hold();
    this.post(resource, 'application/json', body, headers);
  }
}

function main() {
  const address = process.env.AWS_LAMBDA_RUNTIME_API;
  patchConsole();
  const runtime = new Runtime(address);
  if (hasCallbacks) {
    process.on('uncaughtException', (error) => runtime.crash('Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
    process.on('unhandledRejection', (reason, promise) => {
      const error = new (errors().UnhandledPromiseRejection)(reason, promise);
      runtime.crash('Unhandled Promise Rejection', error, EXIT_UNHANDLED_REJECTION);
    });
  }
  process.on('beforeExit', () => runtime.onEmptyEventLoop?.());
  const taskRoot = path.resolve(process.env.LAMBDA_TASK_ROOT || '/var/task');
  runtime.start(taskRoot, process.env._HANDLER || '', __dirname);
}

// Only an interpreter that was started ahead has a socket there.
if (fs.fstatSync(0).isSocket()) require('./firelet_runtime/assignment.cjs').wait(Runtime).then(main);
else main();
