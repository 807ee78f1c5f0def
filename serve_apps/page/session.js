// The session: log in, refresh before the access token ends, and requests that carry it.

const REFRESH_KEY = "parkgrid.refresh";
const EARLY_MS = 60_000;

export class Problem extends Error {
  constructor(document, status) {
    super(document?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.errors = document?.errors ?? [];
    this.document = document ?? {};
  }
}

export const session = { token: null, username: null, roles: [], onToken: () => {}, onEnd: () => {} };
let timer = null;

export const may = (...roles) => session.roles.some((role) => roles.includes(role));

async function read(response) {
  const text = await response.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // Something in between answered in its own words.
  }
  if (!response.ok) throw new Problem(body, response.status);
  return { body, headers: response.headers };
}

function post(path, body) {
  return fetch(`/api/vpp${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).then(read);
}

function accept({ body }) {
  Object.assign(session, { token: body.access_token, username: body.username, roles: body.roles });
  sessionStorage.setItem(REFRESH_KEY, body.refresh_token);
  clearTimeout(timer);
  const lifetime = new Date(body.expires_at) - Date.now();
  timer = setTimeout(() => refresh().catch(() => {}), Math.max(5000, lifetime - EARLY_MS));
  session.onToken(session.token);
}

export const logIn = (username, password, chosen) => (chosen
  ? post("/auth/password", { username, password, new_password: chosen })
  : post("/auth/login", { username, password })).then(accept);

// A refresh token works once: whoever asks while one is being exchanged waits for the same answer.
let refreshing = null;

export function refresh() {
  refreshing ??= exchange().finally(() => { refreshing = null; });
  return refreshing;
}

async function exchange() {
  const token = sessionStorage.getItem(REFRESH_KEY);
  if (!token) return false;
  try {
    accept(await post("/auth/refresh", { refresh_token: token }));
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status < 500) forget();
    else timer = setTimeout(() => refresh().catch(() => {}), 5000);
    return false;
  }
}

export function logOut() {
  // Whether or not it is heard: here the session is over.
  if (session.token) call("POST", "/auth/logout").catch(() => {});
  forget();
}

function forget() {
  clearTimeout(timer);
  sessionStorage.removeItem(REFRESH_KEY);
  Object.assign(session, { token: null, username: null, roles: [] });
  session.onEnd();
}

export async function call(method, path, body, headers = {}) {
  const send = () => fetch(`/api/vpp${path}`, {
    method,
    headers: {
      authorization: `Bearer ${session.token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let response = await send();
  if (response.status === 401 && await refresh()) response = await send();
  return read(response);
}

// crypto.randomUUID exists on secure origins only; this exists everywhere.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
