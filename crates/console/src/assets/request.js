// One request: it can be approved once its payload was on the screen to its end; it is decided by a passkey's
// signature over a statement that names exactly what this page shows; and it keeps itself current.

import { attempt, call, say } from './api.js';
import { fetchDocument, listen } from './live.js';
import { sign } from './passkey.js';

const request = document.getElementById('request');
const { id } = request.dataset;
const api = `/v1/approvals/${id}`;
const find = (name) => document.getElementById(name);

// What the page showed when it was opened, and what was opened on it since; a statement names this and nothing newer.
let displayed = request.dataset.displayed;
let stale = false;
let whole = request.dataset.complete !== undefined;
let unseen = new Set();

// Seen to the end.

let observer = null;

function watch() {
  observer?.disconnect();
  unseen = new Set(find('payload').querySelectorAll('[data-end]'));
  // What lies under the bar of buttons has not been on the screen.
  const bar = find('decide').offsetHeight;
  observer = new IntersectionObserver(seen, { threshold: 1, rootMargin: `0px 0px -${bar}px 0px` });
  for (const end of unseen) observer.observe(end);
  gate();
}

function seen(entries) {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    unseen.delete(target);
    observer.unobserve(target);
  }
  gate();
}

function gate() {
  // What is signed names what was shown: nothing can be decided over a page that is out of date.
  for (const name of ['ask', 'deny']) if (find(name)) find(name).disabled = stale;
  const opened = ['approve', 'glass', 'look-back'].map(find).filter(Boolean);
  if (!opened.length) return;
  const open = whole && unseen.size === 0 && !stale;
  for (const button of opened) button.disabled = !open;
  const hint = find('gate');
  hint.hidden = open;
  const words = hint.querySelector('span');
  const rest = hint.querySelector('button');
  rest.hidden = stale;
  if (stale) words.textContent = 'The request has changed; look at it again.';
  else if (!whole) words.textContent = `${hint.dataset.what} opens once you have opened the payload in full and seen its end.`;
  else words.textContent = `${hint.dataset.what} opens once you have seen the payload to its end.`;
  rest.textContent = whole ? 'Show the rest' : 'Open it in full';
}

function showRest() {
  if (!whole) {
    find('open-whole').querySelector('button').focus();
    find('payload').scrollIntoView({ block: 'start' });
    return;
  }
  const [next] = unseen;
  if (!next) return;
  next.closest('pre, .request-line')?.focus({ preventScroll: true });
  next.scrollIntoView({ block: 'center' });
}

async function openWhole(button) {
  await attempt(button, async () => {
    const csrf = document.querySelector('meta[name=csrf]').content;
    const page = await fetchDocument('POST', `/approvals/${id}/payload`, { 'x-csrf-token': csrf });
    const parts = page.getElementById('payload-parts');
    if (!parts) return void location.reload();
    find('payload-parts').replaceWith(document.adoptNode(parts));
    displayed = parts.dataset.displayed || displayed;
    find('open-whole').hidden = true;
    whole = true;
    watch();
    showRest();
  });
}

// One masked field, shown beside its button.
async function reveal(button) {
  await attempt(button, async () => {
    const csrf = document.querySelector('meta[name=csrf]').content;
    const field = new URLSearchParams({ field: button.dataset.field });
    const page = await fetchDocument('POST', `/approvals/${id}/reveal`, { 'x-csrf-token': csrf }, field);
    const shown = page.getElementById('revealed');
    if (!shown) return void location.reload();
    displayed = shown.dataset.displayed;
    shown.removeAttribute('id');
    button.closest('li').append(document.adoptNode(shown));
    button.remove();
    for (const end of shown.querySelectorAll('[data-end]')) {
      unseen.add(end);
      observer.observe(end);
    }
    gate();
  });
}

// Deciding.

async function decide(verdict, note) {
  const glass = verdict === 'glass';
  const body = { verdict: glass ? 'approve' : verdict, displayed };
  if (glass) body.break_glass = true;
  if (note) body.note = note;
  const { statement, options } = await call('POST', `${api}/statements`, body);
  say('Waiting for your passkey…');
  const credential = await sign(options);
  await call('POST', `${api}/reviews`, { statement, credential });
  say({ approve: 'Approved, and signed by you.', deny: 'Denied, and signed by you.', ask: 'Asked, and signed by you.', glass: 'Glass is broken: approved by you alone, and signed by you.' }[verdict], 'good');
  await refresh({ own: true });
}

// Looking back at broken glass: what somebody finds once all is done.

async function lookBack(finding, note) {
  const { statement, options } = await call('POST', `${api}/later-review/statements`, { finding, note, displayed });
  say('Waiting for your passkey…');
  const credential = await sign(options);
  await call('POST', `${api}/later-review`, { statement, credential });
  say(finding === 'justified' ? 'Found justified, and signed by you.' : 'Found not justified, and signed by you.', 'good');
  await refresh({ own: true });
}

function opens(name) {
  const sheet = find(`sheet-${name}`);
  if (!sheet) return false;
  sheet.showModal();
  (sheet.querySelector('textarea, input') || sheet.querySelector('button')).focus();
  return true;
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || button.disabled) return;
  if (button.id === 'approve' && !opens('approve')) attempt(request, () => decide('approve'));
  if (button.id === 'ask') opens('ask');
  if (button.id === 'deny') opens('deny');
  if (button.id === 'glass') opens('glass');
  if (button.id === 'look-back') opens('look-back');
  if (button.id === 'cancel') opens('cancel');
  switch (button.dataset.do) {
    case 'close': button.closest('dialog').close(); break;
    case 'show-rest': showRest(); break;
    case 'open': openWhole(button); break;
    case 'reveal': reveal(button); break;
    case 'reload': location.reload(); break;
    case 'withdraw':
      attempt(button, async () => {
        await call('POST', `${api}/questions/${button.dataset.question}/withdraw`);
        location.reload();
      });
      break;
    default:
  }
});

// A click on what lies behind a sheet closes it.
document.addEventListener('click', (event) => { if (event.target.matches('dialog.sheet')) event.target.close(); });

document.addEventListener('submit', (event) => {
  const form = event.target;
  event.preventDefault();
  if (form.dataset.question) {
    attempt(form, async () => {
      await call('POST', `${api}/answers`, { question: form.dataset.question, text: form.elements.text.value.trim() });
      location.reload();
    });
    return;
  }
  const { verdict } = form.dataset;
  const typed = form.elements.typed;
  if (typed && typed.value.trim() !== typed.dataset.expected) {
    typed.setCustomValidity('This is not its name.');
    typed.reportValidity();
    return;
  }
  const note = form.elements.note?.value.trim();
  form.closest('dialog').close();
  if (verdict === 'cancel') {
    attempt(form, async () => {
      await call('POST', `${api}/cancel`, { reason: note });
      await refresh({ own: true });
    });
  } else if (verdict === 'look-back') {
    const finding = form.elements.finding.value;
    attempt(request, () => lookBack(finding, note));
  } else {
    attempt(request, () => decide(verdict, note));
  }
});

document.addEventListener('input', (event) => { if (event.target.name === 'typed') event.target.setCustomValidity(''); });

// Keys bring you to a button and never press it.
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const button = find({ a: 'approve', d: 'deny', '?': 'ask' }[event.key]);
  if (!button) return;
  event.preventDefault();
  (button.disabled ? find('gate').querySelector('button') : button).focus();
});

// Keeping current.

async function refresh({ own = false } = {}) {
  let page;
  try {
    page = await fetchDocument('GET', location.pathname);
  } catch {
    return;
  }
  const fresh = page.getElementById('request');
  if (!fresh) return void location.reload();
  const decidable = ['pending', 'approved'].includes(fresh.dataset.state);
  if (fresh.dataset.displayed !== displayed) {
    // Never swap what somebody decides by from under their eyes, unless they did it or nobody can decide any more.
    if (own || !decidable) return void location.reload();
    stale = true;
    find('changed').hidden = false;
    gate();
  }
  const before = find('decide').dataset.may;
  for (const part of request.querySelectorAll('[data-live]')) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    const same = part.dataset.live === 'decide' && next?.dataset.may === before && fresh.dataset.state === request.dataset.state;
    if (next && !same) part.replaceWith(document.adoptNode(next));
  }
  const moved = request.dataset.state !== fresh.dataset.state;
  request.dataset.state = fresh.dataset.state;
  if (moved && !decidable) {
    for (const sheet of document.querySelectorAll('dialog[open]')) sheet.close();
    document.querySelector('[data-live="stage"]').scrollIntoView({ block: 'nearest' });
  }
  gate();
}

listen(`/v1/approvals/${id}/events`, ['approval', 'moved'], () => refresh());
watch();
