// Vercel's AI SDK: its provider for OpenAI (by chat completions) and its provider for whatever is compatible.

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

async function seen() {
  return (await fetch(`${upstream}/seen`)).json();
}

async function assertOneLoop() {
  const asked = await seen();
  assert.equal(asked.length, 2);
  assert.equal(new Set(asked.map((each) => each.target)).size, 1);
  const ids = asked[1].body.messages.flatMap((each) => [
    ...(each.tool_calls ?? []).map((call) => call.id),
    ...(each.tool_call_id ? [each.tool_call_id] : []),
  ]);
  assert.ok(ids.length >= 2);
  for (const id of ids) assert.match(id, /^call_\d_\d$/);
}

beforeEach(() => fetch(`${upstream}/seen`, { method: "DELETE" }));

for (const [name, provider] of Object.entries(providers)) {
  describe(`the ${name} provider`, () => {
    const model = provider("router");

    test("a question gets the target's answer and its usage", async () => {
      const { text, usage } = await generateText({ model, prompt: "Hello there" });
      assert.equal(text, "You said: Hello there");
      assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
    });

    test("a stream says the same and ends with its usage", async () => {
      const result = streamText({ model, prompt: "Hello there" });
      let said = "";
      for await (const piece of result.textStream) said += piece;
      assert.equal(said, "You said: Hello there");
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
      await assertOneLoop();
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
      await assertOneLoop();
    });

    test("an object has the user's own schema", async () => {
      const { object } = await generateObject({ model, schema: PERSON, prompt: ADA });
      assert.deepEqual(object, { name: "Ada", age: 36 });
      assert.equal((await seen())[0].body.response_format.type, "json_schema");
    });

    test("a streamed object fills step by step", async () => {
      const result = streamObject({ model, schema: PERSON, prompt: ADA });
      const steps = [];
      for await (const step of result.partialObjectStream) steps.push(step);
      assert.ok(steps.length > 1);
      assert.deepEqual(steps.at(-1), { name: "Ada", age: 36 });
    });

    test("a conversation reaches the target in order", async () => {
      const messages = [
        { role: "user", content: "Hello there" },
        { role: "assistant", content: "Hello." },
        { role: "user", content: "And again" },
      ];
      const { text } = await generateText({ model, messages });
      assert.equal(text, "You said: And again");
      const [{ body }] = await seen();
      assert.deepEqual(body.messages.map((each) => each.role), ["user", "assistant", "user"]);
    });

    test("a picture reaches a target that can read it", async () => {
      const image = Buffer.from(PIXEL, "base64");
      const content = [
        { type: "text", text: "What is it?" },
        { type: "file", mediaType: "image/png", data: image },
      ];
      await generateText({ model, messages: [{ role: "user", content }] });
      const [{ body, target }] = await seen();
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

    test("a bad request is a 400 with the target's words", async () => {
      await assert.rejects(generateText({ model, prompt: "status 400: too silly" }), (error) => {
        assert.equal(error.statusCode, 400);
        assert.match(error.message, /too silly/);
        return true;
      });
    });
  });
}
