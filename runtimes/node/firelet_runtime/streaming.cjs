'use strict';
// Handlers that stream their response. The response is collected and sent when it is complete.

const { Writable } = require('stream');

const { HIGH_WATER_MARK } = require('./globals.cjs');
const { isPromise } = require('./invocation.cjs');

const errors = () => require('./errors.cjs');

class ResponseStream extends Writable {
  constructor(highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.contentType = 'application/octet-stream';
    this.chunks = [];
    this.isStarted = false;
    this._onBeforeFirstWrite = undefined;
  }

  setContentType(contentType) {
    if (this.isStarted) throw new (errors().InvalidStreamingOperation)('Cannot set content-type, too late.');
    this.contentType = contentType;
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
    this.chunks.push(Buffer.from(chunk));
    done();
  }
}

async function runStreaming(invocation, body) {
  const { runtime } = invocation;
  const stream = new ResponseStream(runtime.handler[HIGH_WATER_MARK]);
  const context = { callbackWaitsForEmptyEventLoop: true };
  try {
    const isClosed = closing(runtime, stream);
    const result = runtime.handler(JSON.parse(body), stream, invocation.fillContext(context));
    if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    await isClosed;
    if (!stream.writableFinished) throw 'Response stream is not finished.';
    runtime.finish(invocation, 'response', stream.contentType, Buffer.concat(stream.chunks));
  } catch (error) {
    invocation.fail(error);
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
