// The link's token stands in the fragment, which browsers send to nobody; it leaves the address bar at once. Whoever has
// to sign in first finds it again in this tab alone.

import { attempt, call, say } from './api.js';

const KEPT = 'countersign-link';
const token = location.hash.slice(1) || sessionStorage.getItem(KEPT) || '';
history.replaceState(null, '', location.pathname);

const form = document.getElementById('link');
const button = form.querySelector('button');

function show(id) {
  for (const section of ['asked', 'coded', 'spent']) document.getElementById(section).hidden = section !== id;
}

function spent(why) {
  sessionStorage.removeItem(KEPT);
  document.getElementById('spent-why').textContent = why;
  show('spent');
}

if (!token) {
  spent('There is no link in this address. Open it again as you were given it, whole.');
} else {
  call('POST', '/v1/links/look', { token }).then(
    (asked) => {
      const { provider, team, user } = asked.account;
      document.getElementById('account-provider').textContent = provider;
      document.getElementById('account-name').textContent = asked.shown_name || user;
      document.getElementById('account-id').textContent = `${user} in ${team}`;
      button.disabled = false;
      button.focus();
    },
    (problem) => {
      if (problem.status === 401) {
        sessionStorage.setItem(KEPT, token);
        location.replace('/login?next=/link');
      } else if (problem.status === 429) {
        say(problem.message, 'bad');
      } else {
        spent(problem.message);
      }
    },
  );
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(form, async () => {
    const { code } = await call('POST', '/v1/links', { token });
    sessionStorage.removeItem(KEPT);
    document.getElementById('link-code').textContent = code;
    show('coded');
    document.getElementById('coded').focus();
  });
});
