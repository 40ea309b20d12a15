// The same app on @slack/socket-mode and @slack/web-api alone, without Bolt.
import { createRequire } from "node:module";

const load = createRequire(import.meta.url);
const { SocketModeClient } = load("@slack/socket-mode");
const { WebClient } = load("@slack/web-api");
const { API_URL, BOT_TOKEN, APP_TOKEN, CHANNEL } = process.env;
const clientOptions = { slackApiUrl: API_URL };
const web = new WebClient(BOT_TOKEN, clientOptions);
const socket = new SocketModeClient({ appToken: APP_TOKEN, clientOptions });

const message = (said, button = true) => ({
  channel: CHANNEL,
  text: said,
  blocks: [
    { type: "section", text: { type: "mrkdwn", text: said } },
    ...(button
      ? [{ type: "actions", elements: [{ type: "button", action_id: "why", value: "v1", text: { type: "plain_text", text: "Why" } }] }]
      : []),
  ],
});

socket.on("interactive", async ({ ack, body }) => {
  if (body.type === "block_actions") {
    await ack();
    await web.views.open({
      trigger_id: body.trigger_id,
      view: {
        type: "modal",
        callback_id: "why",
        private_metadata: body.message.ts,
        title: { type: "plain_text", text: "Why" },
        submit: { type: "plain_text", text: "Send" },
        blocks: [
          {
            type: "input",
            block_id: "words",
            label: { type: "plain_text", text: "Why" },
            element: { type: "plain_text_input", action_id: "words" },
          },
        ],
      },
    });
    await fetch(body.response_url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: "opened", response_type: "ephemeral", replace_original: false }),
    });
    return;
  }
  const words = body.view.state.values.words.words.value;
  if (words.length < 3) {
    await ack({ response_action: "errors", errors: { words: "too short" } });
    return;
  }
  await ack();
  await web.chat.update({ ...message(`because ${words}`, false), ts: body.view.private_metadata });
});
socket.on("slash_commands", async ({ ack, body }) => ack({ text: `you said ${body.text}` }));
socket.on("app_home_opened", async ({ ack, event }) => {
  await ack();
  await web.views.publish({
    user_id: event.user,
    view: { type: "home", blocks: [{ type: "section", text: { type: "mrkdwn", text: "your inbox" } }] },
  });
});

await socket.start();
await Promise.all([web.chat.postMessage(message("first")), web.chat.postMessage(message("second"))]);
console.log("ready");
