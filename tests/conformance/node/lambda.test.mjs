// The AWS SDK for JavaScript v3 against a running firelet; started by test_node_sdk.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

const require = createRequire(`${process.env.FIRELET_NODE_MODULES}/any.js`);
const sdk = require("@aws-sdk/client-lambda");
const client = new sdk.LambdaClient({ maxAttempts: 1 });
const FunctionName = "from-javascript";
const waiting = { client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };

test("a function is created, awaited and invoked", async () => {
  const created = await client.send(
    new sdk.CreateFunctionCommand({
      FunctionName,
      Runtime: "nodejs20.x",
      Handler: "index.handler",
      Role: "arn:aws:iam::000000000000:role/any",
      Code: { ZipFile: readFileSync(process.env.FIRELET_PACKAGE) },
    }),
  );
  assert.equal(created.State, "Pending");
  await sdk.waitUntilFunctionActiveV2(waiting, { FunctionName });
  const answer = await client.send(
    new sdk.InvokeCommand({ FunctionName, Payload: JSON.stringify({ a: 1 }), LogType: "Tail" }),
  );
  assert.equal(answer.FunctionError, undefined);
  assert.deepEqual(JSON.parse(answer.Payload.transformToString()), { a: 1, from: FunctionName });
  assert.match(Buffer.from(answer.LogResult, "base64").toString(), /^START RequestId: .*\n[^]*REPORT RequestId: /);
});

test("an answer is read as a stream", async () => {
  const answer = await client.send(
    new sdk.InvokeWithResponseStreamCommand({ FunctionName, Payload: JSON.stringify({ a: 1 }), LogType: "Tail" }),
  );
  const pieces = [];
  let end;
  for await (const event of answer.EventStream) {
    if (event.PayloadChunk) pieces.push(event.PayloadChunk.Payload);
    else end = event.InvokeComplete;
  }
  assert.deepEqual(JSON.parse(Buffer.concat(pieces).toString()), { a: 1, from: FunctionName });
  assert.equal(end.ErrorCode, undefined);
  assert.match(Buffer.from(end.LogResult, "base64").toString(), /REPORT RequestId: /);
});

test("waiters see updates and versions come into effect", async () => {
  await sdk.waitUntilFunctionExists(waiting, { FunctionName });
  await sdk.waitUntilFunctionActive(waiting, { FunctionName });
  for (const waiter of [sdk.waitUntilFunctionUpdated, sdk.waitUntilFunctionUpdatedV2]) {
    const updated = await client.send(new sdk.UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 256 }));
    assert.equal(updated.LastUpdateStatus, "InProgress");
    const { state, reason } = await waiter(waiting, { FunctionName });
    assert.equal(state, "SUCCESS");
    assert.equal((reason.Configuration ?? reason).LastUpdateStatus, "Successful");
  }
  const { Version, State } = await client.send(new sdk.PublishVersionCommand({ FunctionName }));
  assert.deepEqual([Version, State], ["1", "Pending"]);
  const { reason } = await sdk.waitUntilPublishedVersionActive(waiting, { FunctionName, Qualifier: Version });
  assert.equal(reason.State, "Active");
});

test("errors have their classes", async () => {
  await assert.rejects(client.send(new sdk.GetFunctionCommand({ FunctionName: "missing" })), (error) => {
    assert.ok(error instanceof sdk.ResourceNotFoundException);
    assert.equal(error.message, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing");
    assert.equal(error.$metadata.httpStatusCode, 404);
    return true;
  });
});

test("pages are followed and functions deleted", async () => {
  const names = [];
  for await (const page of sdk.paginateListFunctions({ client, pageSize: 1 }, {})) {
    names.push(...page.Functions.map((one) => one.FunctionName));
  }
  assert.deepEqual(names, [FunctionName]);
  const deleted = await client.send(new sdk.DeleteFunctionCommand({ FunctionName }));
  assert.equal(deleted.$metadata.httpStatusCode, 204);
});
