// Vercel's AI SDK works with the router: its OpenAI provider (chat completions) and its OpenAI-compatible provider.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.CLIENTS_ROUTER;
const upstream = process.env.CLIENTS_UPSTREAM;
const PERSON = z.object({ name: z.string(), age: z.number() });
const ADA = '{"name": "Ada", "age": 36}';
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const providers = {
  openai: createOpenAI({ baseURL, apiKey: "unused" }).chat,
  "openai-compatible": createOpenAICompatible({
    name: "router",
    baseURL,
    apiKey: "unused",
    includeUsage: true,
    supportsStructuredOutputs: true,
  }),
};

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sun in ${city}`,
});

async function received() {
  return (await fetch(`${upstream}/received`)).json();
}

async function assertOneTarget() {
  const requests = await received();
  assert.equal(requests.length, 2);
  assert.equal(new Set(requests.map((request) => request.target)).size, 1);
  const ids = requests[1].body.messages.flatMap((message) => [
    ...(message.tool_calls ?? []).map((call) => call.id),
    ...(message.tool_call_id ? [message.tool_call_id] : []),
  ]);
  assert.ok(ids.length >= 2);
  for (const id of ids) assert.match(id, /^call_\d_\d$/);
}

beforeEach(() => fetch(`${upstream}/received`, { method: "DELETE" }));

for (const [name, provider] of Object.entries(providers)) {
  describe(`the ${name} provider`, () => {
    const model = provider("router");

    test("an answer has the target's text and usage", async () => {
      const { text, usage } = await generateText({ model, prompt: "Hello there" });
      assert.equal(text, "You said: Hello there");
      assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
    });

    test("a stream has the same text and ends with its usage", async () => {
      const result = streamText({ model, prompt: "Hello there" });
      let text = "";
      for await (const part of result.textStream) text += part;
      assert.equal(text, "You said: Hello there");
      assert.ok((await result.usage).outputTokens > 0);
    });

    test("a tool loop with parallel calls stays with its target", async () => {
      const { text } = await generateText({
        model,
        tools: { weather },
        stopWhen: stepCountIs(3),
        prompt: 'weather {"city": "Rome"} and weather {"city": "Oslo"}',
      });
      assert.equal(text, "The tool said: sun in Rome and sun in Oslo");
      await assertOneTarget();
    });

    test("a streamed tool loop stays with its target", async () => {
      const result = streamText({
        model,
        tools: { weather },
        stopWhen: stepCountIs(3),
        prompt: 'weather {"city": "Rome"}',
      });
      await result.consumeStream();
      assert.equal(await result.text, "The tool said: sun in Rome");
      await assertOneTarget();
    });

    test("an object has the user's schema", async () => {
      const { object } = await generateObject({ model, schema: PERSON, prompt: ADA });
      assert.deepEqual(object, { name: "Ada", age: 36 });
      assert.equal((await received())[0].body.response_format.type, "json_schema");
    });

    test("a streamed object is completed step by step", async () => {
      const result = streamObject({ model, schema: PERSON, prompt: ADA });
      const steps = [];
      for await (const step of result.partialObjectStream) steps.push(step);
      assert.ok(steps.length > 1);
      assert.deepEqual(steps.at(-1), { name: "Ada", age: 36 });
    });

    test("earlier turns reach the target in order", async () => {
      const messages = [
        { role: "user", content: "Hello there" },
        { role: "assistant", content: "Hello." },
        { role: "user", content: "And again" },
      ];
      const { text } = await generateText({ model, messages });
      assert.equal(text, "You said: And again");
      const [{ body }] = await received();
      assert.deepEqual(body.messages.map((message) => message.role), ["user", "assistant", "user"]);
    });

    test("a picture reaches a target that supports pictures", async () => {
      const image = Buffer.from(PIXEL, "base64");
      const content = [
        { type: "text", text: "What is it?" },
        { type: "file", mediaType: "image/png", data: image },
      ];
      await generateText({ model, messages: [{ role: "user", content }] });
      const [{ body, target }] = await received();
      assert.equal(body.messages[0].content[1].image_url.url, `data:image/png;base64,${PIXEL}`);
      assert.notEqual(target, "modest");
    });

    test("an unknown model is a 404", async () => {
      await assert.rejects(generateText({ model: provider("no-such-model"), prompt: "Hello" }), (error) => {
        assert.ok(APICallError.isInstance(error));
        assert.equal(error.statusCode, 404);
        return true;
      });
    });

    test("a bad request is a 400 with the target's message", async () => {
      await assert.rejects(generateText({ model, prompt: "status 400: too silly" }), (error) => {
        assert.equal(error.statusCode, 400);
        assert.match(error.message, /too silly/);
        return true;
      });
    });
  });
}
