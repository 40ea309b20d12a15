// Forms by which an administrator proposes changes, and everybody adds passkeys of their own.

import { attempt, call, say } from './api.js';
import { make } from './passkey.js';

document.addEventListener('submit', (event) => {
  const form = event.target;
  event.preventDefault();
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) return;
  attempt(form, () => (form.dataset.passkey !== undefined ? addPasskey(form) : propose(form)));
});

async function propose(form) {
  const fields = Object.fromEntries(new FormData(form));
  const group = form.dataset.groupOf && encodeURIComponent(fields.group);
  const [method, path, body] = form.dataset.groupOf
    ? ['PUT', `/v1/groups/${group}/members/${form.dataset.groupOf}`, {}]
    : [form.dataset.method, form.dataset.path, fields];
  told(await call(method, path, body), form);
}

function told(answer, form) {
  const held = answer?.approval_url || answer?.held?.url;
  // What one signs for oneself is opened to be signed.
  if (held && form.dataset.opens) {
    location.assign(new URL(held, location.href).pathname);
  } else if (held) {
    form.reset();
    const print = answer.key ? ` The key is ${answer.key}.` : '';
    say(`Proposed.${print} An administrator must approve it:`, 'good', { href: new URL(held, location.href).pathname, text: 'the request' });
  } else if (form.dataset.shows) {
    show(form, answer[form.dataset.shows]);
  } else {
    location.reload();
  }
}

// A link that is shown once.
function show(form, text) {
  const box = document.createElement('div');
  box.className = 'secret';
  const code = document.createElement('code');
  code.id = `secret-${Date.now()}`;
  code.textContent = text;
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.copy = code.id;
  button.textContent = 'Copy';
  const words = document.createElement('p');
  words.textContent = 'Good once, for an hour. Hand it over by a way that you trust; it is not shown again.';
  box.append(words, code, ' ', button);
  form.replaceWith(box);
}

async function addPasskey(form) {
  const credential = await make(await call('POST', '/v1/keys/options'));
  told(await call('POST', '/v1/keys', { label: form.elements.label.value.trim(), credential }), form);
}
