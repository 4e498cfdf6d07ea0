// Has this browser told by pushes, where its reader wants it.
"use strict";

{
  const send = async (path, method, body) => {
    const answer = await fetch(path, { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });
    const said = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.detail ?? "Steward did not take it.");
    return said;
  };
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-push]");
    if (!button) return;
    const form = button.closest("form");
    const said = form.querySelector("[role=status]");
    said.textContent = "";
    if (!navigator.serviceWorker || !window.PushManager) {
      said.textContent = "This browser takes no pushes from this page. They need https, or on this machine http://localhost; on an iPhone put the desk on the home screen first.";
      return;
    }
    button.disabled = true;
    try {
      if ((await Notification.requestPermission()) !== "granted") throw new Error("Your browser was told not to show anything from here. You can change that in its settings for this page.");
      const worker = await navigator.serviceWorker.register("/sw.js");
      await navigator.serviceWorker.ready;
      const { key } = await send("/v1/push/key", "GET");
      // One of another key can't be used any more.
      await (await worker.pushManager.getSubscription())?.unsubscribe();
      const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
      await send("/v1/push/subscriptions", "POST", { name: form.elements.name.value, subscription: subscription.toJSON() });
      location.reload();
    } catch (wrong) {
      said.textContent = wrong.message;
    } finally {
      button.disabled = false;
    }
  });
}
