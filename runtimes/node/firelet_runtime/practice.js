'use strict';
// The function that an interpreter runs once while it waits for a real one.

exports.handler = async () => null;
