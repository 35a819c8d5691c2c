'use strict';
// One kept-alive connection to the Runtime API, on a raw socket.
//
// Knows no paths and no invocations. Never reconnects: an environment whose Runtime API is gone has nothing left to do.

const net = require('net');

const RECEIVE_SIZE = 65536;
const JOIN_BELOW = 65536;
const HEAD_END = '\r\n\r\n';

class Connection {
  constructor(address, onResponse) {
    const colon = address.lastIndexOf(':');
    const reader = new ResponseReader(onResponse);
    this.socket = net.connect({
      host: address.slice(0, colon).replace(/[[\]]/g, '') || '127.0.0.1',
      port: Number(address.slice(colon + 1)),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_SIZE),
        callback: (size, buffer) => {
          reader.feed(buffer.subarray(0, size));
          return true;
        },
      },
    });
    this.socket.on('error', () => process.exit(1));
    this.socket.on('end', () => process.exit(0));
    this.socket.unref();
  }

  // Lets the connection keep the process alive.
  hold() {
    this.socket.ref();
  }

  // Lets the process end, as far as this connection is concerned.
  release() {
    this.socket.unref();
  }

  // Sends parts in one write; `done` is called when all have left the process. They are text in one byte a character, or bytes.
  sendParts(parts, done) {
    const socket = this.socket;
    socket.cork();
    for (const part of parts.slice(0, -1)) socket.write(part, 'latin1');
    socket.write(parts[parts.length - 1], 'latin1', done);
    socket.uncork();
  }

  // Sends both in one write, and without a copy when they are large. `body` is text or bytes.
  send(head, body = '') {
    const socket = this.socket;
    if (typeof body === 'string' && body.length < JOIN_BELOW) {
      socket.write(head + body, 'utf8');
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body, 'utf8');
    socket.uncork();
  }
}

// Turns bytes into responses and hands each over as (status, headers with lower-case names, body text).
class ResponseReader {
  constructor(onResponse) {
    this.onResponse = onResponse;
    this.pending = undefined;
    this.status = 0;
    this.headers = undefined;
    this.body = undefined;
    this.present = 0;
    this.chunks = undefined;
  }

  // Takes bytes that are only valid during the call.
  feed(bytes) {
    if (this.pending !== undefined) {
      bytes = Buffer.concat([this.pending, bytes]);
      this.pending = undefined;
    }
    let rest = bytes;
    while (rest !== undefined && rest.length > 0) rest = this.step(rest);
  }

  // Uses up a part of `bytes` and answers the rest; keeps what is too short to be used.
  step(bytes) {
    if (this.body !== undefined) return this.fillBody(bytes);
    if (this.chunks !== undefined) return this.readChunk(bytes);
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) return this.keep(bytes);
    this.readHead(bytes.toString('utf8', 0, end));
    if (this.status < 200) return bytes.subarray(end + 4);
    return this.startBody(bytes, end + 4);
  }

  keep(bytes) {
    this.pending = Buffer.from(bytes);
    return undefined;
  }

  readHead(head) {
    const lines = head.split('\r\n');
    const headers = Object.create(null);
    for (let index = 1; index < lines.length; index += 1) {
      const line = lines[index];
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.status = Number(lines[0].slice(9, 12));
    this.headers = headers;
  }

  startBody(bytes, start) {
    if (this.headers['content-length'] === undefined && /chunked/i.test(this.headers['transfer-encoding'])) {
      this.chunks = [];
      return bytes.subarray(start);
    }
    const end = start + Number(this.headers['content-length'] ?? 0);
    if (end <= bytes.length) {
      this.onResponse(this.status, this.headers, bytes.toString('utf8', start, end));
      return bytes.subarray(end);
    }
    this.body = Buffer.allocUnsafe(end - start);
    this.present = bytes.copy(this.body, 0, start);
    return undefined;
  }

  fillBody(bytes) {
    const taken = bytes.copy(this.body, this.present);
    this.present += taken;
    if (this.present === this.body.length) {
      const body = this.body;
      this.body = undefined;
      this.finishPart(body);
    }
    return bytes.subarray(taken);
  }

  finishPart(body) {
    if (this.chunks === undefined) this.onResponse(this.status, this.headers, body.toString('utf8'));
    else this.chunks.push(body.subarray(0, body.length - 2));
  }

  readChunk(bytes) {
    const end = bytes.indexOf('\r\n');
    if (end < 0) return this.keep(bytes);
    const size = parseInt(bytes.toString('latin1', 0, end), 16);
    if (size > 0) {
      this.body = Buffer.allocUnsafe(size + 2);
      this.present = 0;
      return bytes.subarray(end + 2);
    }
    const trailerEnd = bytes.indexOf(HEAD_END, end);
    if (trailerEnd < 0) return this.keep(bytes);
    const body = Buffer.concat(this.chunks).toString('utf8');
    this.chunks = undefined;
    this.onResponse(this.status, this.headers, body);
    return bytes.subarray(trailerEnd + 4);
  }
}

module.exports = { Connection };
