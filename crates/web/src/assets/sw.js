// Shows what Steward has to say while no page of it is open. It keeps nothing and sends nothing: a push carries a title and
// where it leads, and a click opens that page, which decides nothing by being opened.
"use strict";

const here = (link) => {
  const address = new URL(typeof link === "string" && link.startsWith("/") ? link : "/", self.location.origin);
  return address.origin === self.location.origin ? address.href : `${self.location.origin}/`;
};

self.addEventListener("push", (event) => {
  let said = {};
  try { said = event.data.json(); } catch { /* a push without words still says that there is something */ }
  const title = String(said.title ?? "Steward has something for you").slice(0, 200);
  const shown = { tag: String(said.tag ?? "steward"), icon: "/assets/mark.png", badge: "/assets/mark.png", data: { link: here(said.link) } };
  event.waitUntil(self.registration.showNotification(title, shown));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { link } = event.notification.data;
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then((pages) => {
      const open = pages.find((page) => page.url === link);
      return open ? open.focus() : self.clients.openWindow(link);
    }),
  );
});
