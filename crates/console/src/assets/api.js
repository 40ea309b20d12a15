// The API, as the pages call it. A problem (RFC 9457) is thrown with its code; one that asks for a fresh
// passkey check gets it, and the call is made again.

import { sign } from './passkey.js';

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = String(body.type || '').split('/').pop();
  }
}

export async function call(method, path, body = {}) {
  try {
    return await once(method, path, body);
  } catch (problem) {
    if (problem.code !== 'step-up-required') throw problem;
    await stepUp();
    return once(method, path, body);
  }
}

export async function stepUp() {
  const options = await once('POST', '/v1/step-up/options');
  await once('POST', '/v1/step-up', { credential: await sign(options) });
}

async function once(method, path, body = {}) {
  const request = { method, credentials: 'same-origin', redirect: 'error', headers: { accept: 'application/json' } };
  if (method !== 'GET') {
    request.headers['content-type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error('The server does not answer. Check your connection and try again; nothing was decided.');
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = null;
  }
  if (!response.ok) throw new Problem(response.status, answer || {});
  return answer;
}

// Says something to whoever looks, and to a screen reader. A link may follow the words.
export function say(words, kind = 'plain', link = null) {
  const notice = document.getElementById('notice');
  notice.replaceChildren(words);
  if (link) {
    const a = document.createElement('a');
    a.href = link.href;
    a.textContent = link.text;
    notice.append(' ', a);
  }
  notice.dataset.kind = kind;
  notice.hidden = false;
  notice.scrollIntoView({ block: 'nearest' });
}

export function hush() {
  document.getElementById('notice').hidden = true;
}

// Runs what a button or a form asks for, once at a time, and says why it came to nothing.
export async function attempt(control, work) {
  if (control.dataset.busy !== undefined) return undefined;
  control.dataset.busy = '';
  control.setAttribute('aria-busy', 'true');
  hush();
  try {
    return await work();
  } catch (problem) {
    if (problem.status === 401) {
      const here = location.pathname + location.search;
      say('You are signed out.', 'bad', { href: `/login?next=${encodeURIComponent(here)}`, text: 'Sign in again' });
    } else {
      say(problem.message, 'bad');
    }
    return undefined;
  } finally {
    delete control.dataset.busy;
    control.removeAttribute('aria-busy');
  }
}
