'use strict';
// Finds the handler: CommonJS and ES modules, in AWS's order of names, and the layers' packages for both.

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { pathToFileURL } = require('url');

const { HANDLER_STREAMING, hasCallbacks, installGlobals, isStreaming } = require('./globals.cjs');

const HANDLER_PARTS = /^([^.]*)\.(.*)$/;

const errors = () => require('./errors.cjs');

async function loadHandler(taskRoot, name, runtimeRoot) {
  if (name.includes('..')) {
    throw new (errors().MalformedHandlerName)(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const file = path.basename(name);
  const folder = name.slice(0, name.indexOf(file));
  const parts = HANDLER_PARTS.exec(file);
  if (parts === null) throw new (errors().MalformedHandlerName)('Bad handler');
  installGlobals();
  addPackageFolders(runtimeRoot);
  const loaded = await loadModule(taskRoot, folder, parts[1], runtimeRoot);
  return checkHandler(findHandler(loaded, parts[2]), name);
}

function findHandler(loaded, dottedName) {
  const find = (start) => dottedName.split('.').reduce((nested, key) => nested && nested[key], start);
  return find(loaded) || (hasCallbacks ? undefined : find(loaded?.default));
}

function checkHandler(handler, name) {
  if (!handler) throw new (errors().HandlerNotFound)(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new (errors().HandlerNotFound)(`${name} is not a function`);
  if (handler[HANDLER_STREAMING] && !isStreaming(handler)) {
    throw new (errors().MalformedStreamingHandler)('Only response streaming is supported.');
  }
  if (!hasCallbacks && handler.length >= 3 && !isStreaming(handler)) {
    throw new (errors().CallbackHandlerDeprecated)(
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
    );
  }
  return handler;
}

async function loadModule(taskRoot, folder, name, runtimeRoot) {
  const requireFrom = Module.createRequire(path.join(runtimeRoot, 'index.mjs'));
  try {
    return await loadFile(path.resolve(taskRoot, folder, name), requireFrom, () =>
      requireFrom(requireFrom.resolve(name, { paths: [taskRoot, folder] })),
    );
  } catch (error) {
    if (error instanceof SyntaxError) throw syntaxError(error);
    if (error?.code === 'MODULE_NOT_FOUND') throw new (errors().ImportModuleError)(error);
    throw error;
  }
}

function syntaxError(error) {
  const wrapped = new (errors().UserCodeSyntaxError)(error);
  wrapped.stack = `${wrapped.name}: ${wrapped.message}\n${error.stack}`;
  return wrapped;
}

async function loadFile(base, requireFrom, otherwise) {
  if (isFile(base)) return requireFrom(base);
  if (isFile(base + '.js')) {
    return isInModulePackage(path.dirname(base)) ? importFile(base + '.js') : requireFrom(base + '.js');
  }
  if (isFile(base + '.mjs')) return importFile(base + '.mjs');
  if (isFile(base + '.cjs')) return requireFrom(base + '.cjs');
  return otherwise();
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isInModulePackage(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder !== '/' && isInModulePackage(path.dirname(folder));
}

function importFile(file) {
  const folders = Module.globalPaths.filter((folder) => folder.endsWith('/node_modules') && fs.existsSync(folder));
  if (folders.length > 0) require('./packages.cjs').findPackagesIn(folders);
  return import(pathToFileURL(file).href);
}

// Makes `require` look into the layers, unless the function has its own search path, and last into the packages that come with
// the runtime.
function addPackageFolders(runtimeRoot) {
  const own = process.env.NODE_PATH;
  const layers = path.join(process.env.FIRELET_LAYER_ROOT || '/opt', 'nodejs');
  const major = process.versions.node.split('.')[0];
  const base = own ?? `${layers}/node${major}/node_modules:${layers}/node_modules`;
  process.env.NODE_PATH = `${base}:${path.join(runtimeRoot, 'node_modules')}`;
  Module._initPaths();
  if (own !== undefined) process.env.NODE_PATH = own;
}

module.exports = { loadHandler };
