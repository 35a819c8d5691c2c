'use strict';
// Handlers that stream their response: what they write leaves at once, as far as the caller reads it.

const { Writable } = require('stream');

const { HIGH_WATER_MARK, hasCallbacks } = require('./globals.cjs');
const { isPromise } = require('./invocation.cjs');

const END = '0\r\n';

const errors = () => require('./errors.cjs');

class ResponseStream extends Writable {
  constructor(invocation, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.invocation = invocation;
    this.contentType = 'application/octet-stream';
    this.isStarted = false;
    this.isHeadSent = false;
    this.isEndSent = false;
    this.trailers = '';
    this.whenAnswered = new Promise((resolve) => {
      this.answered = resolve;
    });
    this._onBeforeFirstWrite = undefined;
  }

  setContentType(contentType) {
    if (this.isStarted) throw new (errors().InvalidStreamingOperation)('Cannot set content-type, too late.');
    this.contentType = String(contentType).replace(/[^\x20-\x7e]/g, '?');
  }

  write(chunk, encoding, callback) {
    const isRaw = typeof chunk === 'string' || chunk instanceof Uint8Array;
    if (!this.isStarted) {
      this.isStarted = true;
      this._onBeforeFirstWrite?.((first) => super.write(first));
    }
    return super.write(isRaw ? chunk : JSON.stringify(chunk), encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function' || chunk === undefined || chunk === null) return super.end(chunk);
    this.write(chunk, typeof encoding === 'function' ? undefined : encoding);
    return super.end(typeof encoding === 'function' ? encoding : callback);
  }

  _write(chunk, _encoding, done) {
    this.sendChunk([chunk], done);
  }

  // Whatever was written while a chunk was on its way goes as one.
  _writev(entries, done) {
    this.sendChunk(
      entries.map(({ chunk }) => chunk),
      done,
    );
  }

  _final(done) {
    this.sendEnd(done);
  }

  sendChunk(buffers, done) {
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    // An empty chunk would be the end, and nothing comes after the end.
    if (length === 0 || this.isEndSent) {
      done();
      return;
    }
    const { connection } = this.invocation.runtime;
    // What is on its way keeps the process alive, also while the caller does not read.
    connection.hold();
    connection.sendParts([...this.head(), length.toString(16) + '\r\n', ...buffers, '\r\n'], () => {
      if (!this.isEndSent) connection.release();
      done();
    });
  }

  // Sends the end, after which the Runtime API answers.
  sendEnd(done) {
    if (this.isEndSent) {
      done?.();
      return;
    }
    this.isEndSent = true;
    const { runtime } = this.invocation;
    runtime.onEmptyEventLoop = undefined;
    runtime.connection.hold();
    runtime.connection.sendParts([...this.head(), END + this.trailers + '\r\n'], done);
  }

  head() {
    if (this.isHeadSent) return [];
    this.isHeadSent = true;
    return this.invocation.runtime.startStream(this.invocation, this, this.contentType);
  }

  // Has the response end with an error, after what was written before.
  fail(error) {
    if (this.isEndSent) return;
    this.trailers = errors().trailers(error);
    if (this.destroyed) this.sendEnd();
    else if (!this.writableEnded) super.end();
  }

  // Has the response end with an error, and at once.
  breakOff(error) {
    this.trailers = errors().trailers(error);
    this.sendEnd();
  }
}

async function runStreaming(invocation, body) {
  const { runtime } = invocation;
  const stream = new ResponseStream(invocation, runtime.handler[HIGH_WATER_MARK]);
  const context = { callbackWaitsForEmptyEventLoop: true };
  try {
    const isClosed = closing(runtime, stream);
    const result = runtime.handler(JSON.parse(body), stream, invocation.fillContext(context));
    if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    await isClosed;
    if (!stream.writableFinished) throw 'Response stream is not finished.';
  } catch (error) {
    errors().logError('Invoke Error', error);
    stream.fail(error);
  }
  await stream.whenAnswered;
  if (hasCallbacks && context.callbackWaitsForEmptyEventLoop) {
    runtime.onEmptyEventLoop = () => setImmediate(() => runtime.next());
  } else {
    runtime.next();
  }
}

// Settles when the stream is finished or destroyed, or when nothing is left that could finish it.
function closing(runtime, stream) {
  const isClosed = new Promise((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
    stream.on('close', resolve);
    runtime.onEmptyEventLoop = () => {
      if (stream.writableFinished) return;
      runtime.onEmptyEventLoop = undefined;
      reject('Response stream is not finished.');
    };
  });
  isClosed.catch(() => {});
  return isClosed;
}

module.exports = { runStreaming };
