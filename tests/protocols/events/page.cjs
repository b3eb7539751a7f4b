// A page's script in Node, with the EventSource of the package `eventsource`, which browsers have built in.
//
//   node page.cjs http://127.0.0.1:8080/page.js 'Basic …'
'use strict';

const vm = require('node:vm');
const { EventSource } = require('eventsource');

const [address, authorization] = process.argv.slice(2);
const ask = globalThis.fetch;

// A browser knows its page's address, and who has logged in.
globalThis.fetch = (url, init = {}) =>
  ask(new URL(url, address), { ...init, headers: { ...init.headers, authorization } });
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(new URL(url, address), { fetch: globalThis.fetch });
  }
};

fetch(address)
  .then((answer) => answer.text())
  .then((script) => vm.runInThisContext(script));
