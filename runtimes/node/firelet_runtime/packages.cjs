'use strict';
// Lets ES modules import packages from the folders that `require` finds through NODE_PATH, as on AWS.

const Module = require('module');
const { pathToFileURL } = require('url');

const HOOKS = `
let folders;
export function initialize(data) { folders = data; }
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
    for (const folder of folders) {
      try {
        return await next(specifier, { ...context, parentURL: folder });
      } catch {}
    }
    throw error;
  }
}`;

function findPackagesIn(folders) {
  const parents = folders.map((folder) => pathToFileURL(folder.replace(/node_modules$/, 'index.mjs')).href);
  if (Module.registerHooks !== undefined) Module.registerHooks({ resolve: resolverFor(parents) });
  else Module.register?.('data:text/javascript,' + encodeURIComponent(HOOKS), { data: parents });
}

function resolverFor(parents) {
  return (specifier, context, next) => {
    try {
      return next(specifier, context);
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
      for (const parentURL of parents) {
        try {
          return next(specifier, { ...context, parentURL });
        } catch {
          continue;
        }
      }
      throw error;
    }
  };
}

module.exports = { findPackagesIn };
