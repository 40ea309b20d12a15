// The invite stands in the fragment, which browsers send to nobody; it leaves the address bar at once.

import { attempt, call, say } from './api.js';
import { make } from './passkey.js';

const invite = location.hash.slice(1);
history.replaceState(null, '', location.pathname);

const form = document.getElementById('enrol');
const button = form.querySelector('button');

function show(id) {
  for (const section of ['invited', 'held', 'spent']) document.getElementById(section).hidden = section !== id;
}

function spent(why) {
  document.getElementById('spent-why').textContent = why;
  show('spent');
}

function device() {
  const platform = navigator.userAgentData?.platform || navigator.platform || '';
  if (/iPhone/.test(navigator.userAgent)) return 'iPhone';
  if (/iPad/.test(navigator.userAgent)) return 'iPad';
  if (/Android/i.test(navigator.userAgent)) return 'Android phone';
  if (/mac/i.test(platform)) return 'Mac';
  if (/win/i.test(platform)) return 'Windows PC';
  return /linux/i.test(platform) ? 'Linux desktop' : 'My passkey';
}

const options = () => call('POST', '/v1/enrolment/options', { invite });

if (!invite) {
  spent('There is no invite in this address. Open the link again as you were given it, whole.');
} else {
  document.getElementById('label').value = device();
  options().then(
    (known) => {
      document.getElementById('invited-name').textContent = `, ${known.user.displayName}`;
      button.disabled = false;
      button.focus();
    },
    (problem) => {
      if (problem.status !== 429) return spent(problem.message);
      // The invite is still good. It stands here only, so the page stays and the button asks again.
      say(problem.message, 'bad');
      button.disabled = false;
    },
  );
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(form, async () => {
    const credential = await make(await options());
    const label = document.getElementById('label').value.trim();
    const answer = await call('POST', '/v1/enrolment', { invite, label, credential });
    const url = answer?.approval_url || answer?.url || answer?.held?.url;
    if (url) {
      document.getElementById('held-key').textContent = answer.key;
      document.getElementById('held-link').href = new URL(url, location.href).pathname;
      show('held');
    } else {
      location.replace('/');
    }
  });
});
