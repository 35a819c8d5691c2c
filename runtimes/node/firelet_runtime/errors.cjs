'use strict';
// Error payloads, error log lines and X-Ray causes, in AWS's form. Loaded at a function's first error only.

const { types } = require('util');

const { isJsonFormat } = require('./console.cjs');

const MAX_XRAY_CAUSE = 64 * 1024;
// Characters of an error's description in trailers, which have a limit as headers do.
const MAX_TRAILER_BODY = 32 * 1024;

class RuntimeError extends Error {}

const defineError = (name, Base = RuntimeError) => {
  const ErrorClass = { [name]: class extends Base {} }[name];
  ErrorClass.prototype.name = `Runtime.${name}`;
  return ErrorClass;
};

class UnhandledPromiseRejectionBase extends RuntimeError {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

const escapeDelete = (text) => text.replace(/\x7F/g, '%7F');

function isErrorLike(value) {
  return ['name', 'message', 'stack'].every((key) => value && value[key] && typeof value[key] === 'string');
}

function describe(error) {
  try {
    if (types.isNativeError(error) || isErrorLike(error)) {
      return {
        errorType: escapeDelete(error.name),
        errorMessage: escapeDelete(error.message),
        trace: escapeDelete(error.stack).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// Answers the body of an error report, the error type and the headers that go with it.
function payload(error) {
  const description = describe(error);
  return {
    body: JSON.stringify(description),
    type: description.errorType,
    headers: typeHeader(description.errorType) + xrayHeader(error, description),
  };
}

// Answers what ends an answer in pieces that is not whole.
function trailers(error) {
  const description = describe(error);
  const body = JSON.stringify(description);
  const short = { ...description, errorMessage: String(description.errorMessage).slice(0, MAX_TRAILER_BODY / 8), trace: [] };
  const text = body.length > MAX_TRAILER_BODY ? JSON.stringify(short) : body;
  const encoded = Buffer.from(text).toString('base64');
  return `${typeHeader(description.errorType)}Lambda-Runtime-Function-Error-Body: ${encoded}\r\n`;
}

function typeHeader(type) {
  return `Lambda-Runtime-Function-Error-Type: ${toHeaderText(String(type))}\r\n`;
}

function toHeaderText(text) {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function xrayHeader(error, { errorType, errorMessage, trace = [] }) {
  const stack = error?.stack ? trace.slice(1).map(readStackLine) : [];
  const cause = JSON.stringify({
    working_directory: process.cwd(),
    exceptions: [{ type: errorType, message: errorMessage, stack }],
    paths: [...new Set(stack.map((entry) => entry.path))],
  });
  const ascii = cause.replace(/[^\x20-\x7e]/g, (unit) => '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'));
  return ascii.length < MAX_XRAY_CAUSE ? `Lambda-Runtime-Function-XRay-Error-Cause: ${ascii}\r\n` : '';
}

function readStackLine(text) {
  const line = text.trim().replace(/[()]/g, '').replace(/^\S*\s/, '');
  const space = line.lastIndexOf(' ');
  const [path, number] = line.slice(space + 1).split(':');
  return { path, line: parseInt(number, 10), label: space < 0 ? 'anonymous' : line.slice(0, space) };
}

function logError(title, error) {
  const asError = error instanceof Error ? error : new Error(error);
  if (isJsonFormat()) console.error(asError);
  else console.error(title, '\t' + toLogText(asError));
}

function toLogText(error) {
  try {
    return JSON.stringify(error, (_, value) => (value instanceof Error ? withAllProperties(value) : value));
  } catch {
    return JSON.stringify(describe(error));
  }
}

function withAllProperties(error) {
  const result = { errorType: error.name, errorMessage: error.message, code: error.code, ...error };
  if (typeof error.stack === 'string') result.stack = error.stack.split('\n');
  return result;
}

module.exports = {
  CallbackHandlerDeprecated: defineError('CallbackHandlerDeprecated'),
  HandlerNotFound: defineError('HandlerNotFound'),
  ImportModuleError: defineError('ImportModuleError'),
  InvalidStreamingOperation: defineError('InvalidStreamingOperation'),
  JSONStringifyError: defineError('JSONStringifyError'),
  MalformedHandlerName: defineError('MalformedHandlerName'),
  MalformedStreamingHandler: defineError('MalformedStreamingHandler'),
  UnhandledPromiseRejection: defineError('UnhandledPromiseRejection', UnhandledPromiseRejectionBase),
  UserCodeSyntaxError: defineError('UserCodeSyntaxError'),
  logError,
  payload,
  trailers,
  typeHeader,
};
