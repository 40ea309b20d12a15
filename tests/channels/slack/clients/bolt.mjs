// An app on Bolt for JavaScript, as its documents write one; nothing in it knows of a stand-in but the address of the API.
import { createRequire } from "node:module";

const { App } = createRequire(import.meta.url)("@slack/bolt");
const { API_URL, BOT_TOKEN, APP_TOKEN, SIGNING_SECRET, CHANNEL, PORT } = process.env;
const clientOptions = { slackApiUrl: API_URL };

const app = PORT
  ? new App({ token: BOT_TOKEN, signingSecret: SIGNING_SECRET, clientOptions })
  : new App({ token: BOT_TOKEN, appToken: APP_TOKEN, socketMode: true, clientOptions, installerOptions: { clientOptions } });

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

app.action("why", async ({ ack, body, client, respond }) => {
  await ack();
  await client.views.open({
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
  await respond({ text: "opened", response_type: "ephemeral", replace_original: false });
});

app.view("why", async ({ ack, view, client }) => {
  const words = view.state.values.words.words.value;
  if (words.length < 3) {
    await ack({ response_action: "errors", errors: { words: "too short" } });
    return;
  }
  await ack();
  await client.chat.update({ ...message(`because ${words}`, false), ts: view.private_metadata });
});

app.command("/countersign", async ({ ack, command }) => ack({ text: `you said ${command.text}` }));

app.event("app_home_opened", async ({ event, client }) => {
  await client.views.publish({
    user_id: event.user,
    view: { type: "home", blocks: [{ type: "section", text: { type: "mrkdwn", text: "your inbox" } }] },
  });
});

await app.start(PORT ? Number(PORT) : undefined);
// Two at once: the second is refused with 429 and tried again by Slack's own client.
await Promise.all([app.client.chat.postMessage(message("first")), app.client.chat.postMessage(message("second"))]);
console.log("ready");
