// The JavaScript SDK v3, unmodified, on what the environment says: a function's whole life as one JSON answer.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.SDK_HOME + "/");
const { CloudWatchLogsClient, FilterLogEventsCommand } = require("@aws-sdk/client-cloudwatch-logs");
const {
  CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, LambdaClient,
  UpdateFunctionConfigurationCommand, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} = require("@aws-sdk/client-lambda");
const { GetCallerIdentityCommand, STSClient } = require("@aws-sdk/client-sts");

const [zip, runtime, FunctionName] = process.argv.slice(2);
const lambda = new LambdaClient({});
const answer = {};

answer.account = (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Account;
await lambda.send(new CreateFunctionCommand({
  FunctionName, Runtime: runtime, Handler: "app.handler",
  Role: "arn:aws:iam::000000000000:role/tests", Code: { ZipFile: readFileSync(zip) },
}));
await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30 }, { FunctionName });
await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 11 }));
await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30 }, { FunctionName });
answer.timeout = (await lambda.send(new GetFunctionCommand({ FunctionName }))).Configuration.Timeout;
const called = await lambda.send(new InvokeCommand({
  FunctionName, Payload: JSON.stringify({ text: "grüße" }), LogType: "Tail",
}));
answer.result = JSON.parse(Buffer.from(called.Payload).toString());
answer.tail = Buffer.from(called.LogResult, "base64").toString();
const logs = await new CloudWatchLogsClient({}).send(
  new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${FunctionName}`, filterPattern: "seen" }));
answer.logged = logs.events.length;
await lambda.send(new DeleteFunctionCommand({ FunctionName }));
try {
  await lambda.send(new GetFunctionCommand({ FunctionName }));
} catch (error) {
  answer.gone = [error.name, error.$metadata.httpStatusCode];
}
console.log(JSON.stringify(answer));
