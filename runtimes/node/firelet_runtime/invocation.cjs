'use strict';
// One invocation: the context object, the call of the handler, and the one outcome that is reported.
//
// Up to Node.js 22 handlers may also answer through a callback or the context; Node.js 24 knows asynchronous handlers only.

const { hasCallbacks, isStreaming } = require('./globals.cjs');

const errors = () => require('./errors.cjs');

class Invocation {
  constructor(runtime, headers) {
    this.runtime = runtime;
    this.headers = headers;
    this.requestId = headers['lambda-runtime-aws-request-id'];
  }

  run(body) {
    this.setTraceId();
    if (isStreaming(this.runtime.handler)) require('./streaming.cjs').runStreaming(this, body);
    else if (hasCallbacks) this.runWithCallbacks(body);
    else this.runAsync(body);
  }

  setTraceId() {
    const traceId = this.headers['lambda-runtime-trace-id'];
    if (traceId) process.env._X_AMZN_TRACE_ID = traceId;
    else delete process.env._X_AMZN_TRACE_ID;
  }

  // Completes `context` with what the environment and the headers say.
  fillContext(context) {
    const { headers } = this;
    const deadline = headers['lambda-runtime-deadline-ms'];
    return Object.assign(context, this.runtime.function, {
      clientContext: parseHeader(headers['lambda-runtime-client-context'], 'ClientContext'),
      identity: parseHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: this.requestId,
      tenantId: headers['lambda-runtime-aws-tenant-id'],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
  }

  runWithCallbacks(body) {
    const calls = new CallbackContext(this);
    this.runtime.onEmptyEventLoop = () => calls.completeWithNothing();
    try {
      const result = this.runtime.handler(JSON.parse(body), this.fillContext(calls.context), calls.callback);
      if (isPromise(result)) result.then(calls.context.succeed, calls.context.fail).catch(calls.context.fail);
    } catch (error) {
      calls.callback(error);
    }
  }

  async runAsync(body) {
    try {
      this.respond(await this.runtime.handler(JSON.parse(body), this.fillContext({})));
    } catch (error) {
      this.fail(error);
    }
  }

  respond(result) {
    this.runtime.finish(this, 'response', 'application/json', serialize(result));
  }

  fail(error) {
    errors().logError('Invoke Error', error);
    const { body, headers } = errors().payload(error);
    this.runtime.finish(this, 'error', 'application/json', body, headers);
  }
}

// The callback and the methods of the context that report an outcome; the first call that does counts.
class CallbackContext {
  constructor(invocation) {
    this.invocation = invocation;
    this.waitsForEmptyEventLoop = true;
    this.isComplete = false;
    let isFinished = false;
    const firstOnly = (report) => (...args) => {
      if (isFinished) return;
      report(...args);
      isFinished = true;
    };
    this.callback = firstOnly((error, result) => this.reportFromCallback(error, result));
    this.context = this.makeContext(firstOnly);
  }

  makeContext(firstOnly) {
    const calls = this;
    return {
      get callbackWaitsForEmptyEventLoop() {
        return calls.waitsForEmptyEventLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        calls.waitsForEmptyEventLoop = value;
      },
      succeed: firstOnly((result) => calls.report(undefined, result)),
      fail: firstOnly((error) => calls.report(error ?? 'handled')),
      done: firstOnly((error, result) => calls.report(error, result)),
    };
  }

  reportFromCallback(error, result) {
    if (!isNothing(error) || !this.waitsForEmptyEventLoop) {
      this.report(error, result);
      return;
    }
    this.invocation.runtime.onEmptyEventLoop = () => setImmediate(() => this.complete(result));
  }

  report(error, result) {
    this.invocation.runtime.onEmptyEventLoop = undefined;
    if (isNothing(error)) this.complete(result);
    else this.invocation.fail(error);
  }

  complete(result) {
    if (this.isComplete) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
      return;
    }
    this.isComplete = true;
    this.invocation.respond(result);
  }

  completeWithNothing() {
    this.isComplete = true;
    this.invocation.respond(null);
  }
}

function serialize(result) {
  try {
    return JSON.stringify(result) ?? 'null';
  } catch {
    const text = 'Unable to stringify response body';
    throw hasCallbacks ? new Error(text) : new (errors().JSONStringifyError)(text);
  }
}

function parseHeader(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

function isPromise(value) {
  return typeof value?.then === 'function';
}

function isNothing(value) {
  return value === undefined || value === null;
}

module.exports = { Invocation, isPromise };
