// The two passkey calls of the browser, in the JSON of WebAuthn Level 3 (section 5.1). Written out, since
// not every browser and password manager has the JSON methods.

function bytes(text) {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

function text(buffer) {
  let binary = '';
  for (const byte of new Uint8Array(buffer)) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

const listed = (list) => (list || []).map((item) => ({ ...item, id: bytes(item.id) }));

function answer(credential, response) {
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: {},
  };
}

// Signs a challenge: to sign in, to step up, or over a statement.
export async function sign(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: listed(options.allowCredentials) };
  const credential = await ceremony(() => navigator.credentials.get({ publicKey }));
  const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
  const response = {
    clientDataJSON: text(clientDataJSON),
    authenticatorData: text(authenticatorData),
    signature: text(signature),
  };
  if (userHandle && userHandle.byteLength > 0) response.userHandle = text(userHandle);
  return answer(credential, response);
}

// Makes a passkey.
export async function make(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials),
  };
  const credential = await ceremony(() => navigator.credentials.create({ publicKey }));
  const { clientDataJSON, attestationObject } = credential.response;
  const transports = credential.response.getTransports ? credential.response.getTransports() : [];
  return answer(credential, {
    clientDataJSON: text(clientDataJSON),
    attestationObject: text(attestationObject),
    transports,
  });
}

async function ceremony(start) {
  if (!window.PublicKeyCredential) {
    throw new Error('This browser has no passkeys here. Open the console at its public URL, with https or at localhost.');
  }
  let credential;
  try {
    credential = await start();
  } catch (error) {
    throw new Error(why(error.name), { cause: error });
  }
  if (!credential) throw new Error(why('NotAllowedError'));
  return credential;
}

function why(name) {
  switch (name) {
    case 'NotAllowedError':
    case 'AbortError':
      return 'The passkey was not used: it was cancelled, or the time ran out. Nothing was sent.';
    case 'InvalidStateError':
      return 'This device has a passkey of yours already.';
    case 'SecurityError':
      return 'This address is not the one that passkeys were made for. Open the console at its public URL.';
    case 'NotSupportedError':
    case 'ConstraintError':
      return 'This authenticator cannot do it: it must verify you (PIN, fingerprint or face) and keep the passkey.';
    default:
      return `The passkey could not be used (${name}).`;
  }
}
