// OpenFeature's official JavaScript client, driven over stdin and stdout, a JSON object a line.
//
//   node client.cjs server|polling|listening BASE_URL '{"targetingKey":"ann"}'
//
// In:  {"type":"boolean|string|number|object","key","fallback","context"?}   Out: {"details":{…}}
// Told besides, as they happen: {"event":"ready|changed|stale|error", …}. The end of stdin ends it.
'use strict';

const readline = require('node:readline');

const [mode, baseUrl, contextText] = process.argv.slice(2);
const context = JSON.parse(contextText);
const tell = (told) => process.stdout.write(JSON.stringify(told) + '\n');
const asks = { boolean: 'getBooleanDetails', string: 'getStringDetails', number: 'getNumberDetails', object: 'getObjectDetails' };

async function server() {
  const { OpenFeature } = require('@openfeature/server-sdk');
  const { OFREPProvider } = require('@openfeature/ofrep-provider');
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl }));
  return OpenFeature;
}

async function web() {
  const { OpenFeature, ProviderEvents } = require('@openfeature/web-sdk');
  const { OFREPWebProvider } = require('@openfeature/ofrep-web-provider');
  if (mode === 'listening') {
    globalThis.EventSource = require('eventsource').EventSource; // browsers have one
  }
  OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, (event) =>
    tell({ event: 'changed', flags: event.flagsChanged }),
  );
  OpenFeature.addHandler(ProviderEvents.Stale, (event) => tell({ event: 'stale', message: event.message }));
  await OpenFeature.setContext(context);
  const pollInterval = mode === 'polling' ? 50 : 0;
  const provider = new OFREPWebProvider({ baseUrl, pollInterval, cacheMode: 'disabled' });
  await OpenFeature.setProviderAndWait(provider);
  return { getClient: () => OpenFeature.getClient(), close: () => provider.onClose() };
}

async function main() {
  const sdk = await (mode === 'server' ? server() : web());
  const client = sdk.getClient();
  tell({ event: 'ready' });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    tell({ details: await client[asks[asked.type]](asked.key, asked.fallback, asked.context ?? context) });
  }
  await sdk.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    tell({ event: 'error', message: `${error.name}: ${error.message}`, code: error.code });
    process.exit(1);
  },
);
