// Passkeys: enrolled on one's own page, and shown to come in or to show again who one is. The server judges; this only
// carries what it asks to the device, and back.
"use strict";

{
  const send = async (path, body) => {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const said = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.detail ?? "Steward did not take it.");
    return said;
  };
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  // What the server asks, with bytes where the browser wants bytes; and the answer with texts where the server wants texts.
  const ask = async ({ options, state }) => {
    const asked = options.publicKey;
    asked.challenge = bytes(asked.challenge);
    let made;
    if (asked.user) {
      asked.user.id = bytes(asked.user.id);
      asked.excludeCredentials = named(asked.excludeCredentials);
      made = await navigator.credentials.create({ publicKey: asked });
    } else {
      asked.allowCredentials = named(asked.allowCredentials);
      made = await navigator.credentials.get({ publicKey: asked });
    }
    const { response } = made;
    const answer = { clientDataJSON: text(response.clientDataJSON) };
    for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[part]) answer[part] = text(response[part]);
    }
    return { state, credential: { id: made.id, rawId: text(made.rawId), type: made.type, response: answer, extensions: {} } };
  };

  const ways = {
    enrol: async (button) => {
      const form = button.closest("form");
      const password = form.elements.password?.value;
      if (password) await send("/v1/auth/reauthenticate", { password });
      const shown = await ask(await send("/v1/auth/passkeys/begin", {}));
      await send("/v1/auth/passkeys", { ...shown, name: form.elements.name.value });
      location.reload();
    },
    login: async (button) => {
      const { challenge, next } = button.dataset;
      const shown = await ask(await send("/v1/auth/login/passkey/begin", challenge ? { challenge } : {}));
      await send("/v1/auth/login/passkey", challenge ? { ...shown, challenge } : shown);
      location.assign(next || "/");
    },
    again: async (button, said) => {
      await send("/v1/auth/reauthenticate/passkey", await ask(await send("/v1/auth/reauthenticate/passkey/begin", {})));
      button.hidden = true;
      said.textContent = "You have shown who you are. Decide within ten minutes.";
    },
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-passkey]");
    if (!button) return;
    const said = button.parentElement.querySelector("[role=status]");
    if (!navigator.credentials || !window.PublicKeyCredential) {
      said.textContent = "This browser has no passkeys for this page. They need https, or the desk's name: on this machine http://localhost.";
      return;
    }
    button.disabled = true;
    said.textContent = "";
    try {
      await ways[button.dataset.passkey](button, said);
    } catch (wrong) {
      said.textContent = wrong.name === "NotAllowedError" ? "No passkey was shown: it was given up, or took too long." : wrong.name === "InvalidStateError" ? "This device has a passkey for you already." : wrong.message;
    } finally {
      button.disabled = false;
    }
  });
}
