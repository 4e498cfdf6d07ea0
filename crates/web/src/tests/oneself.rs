//! One's own account on its pages: password, sessions, second factor, how one is told; and the handbook with its versions.

use axum::http::StatusCode;
use store::{Actor, sessions};

use super::{
    house::{House, PASSWORD},
    second_factor::code,
};

#[tokio::test]
async fn a_second_factor_is_set_up_by_a_picture() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    assert!(browser.get("/account").await.text.contains("Set it up"));
    let begun = browser.post("/account/second-factor/begin", &[]).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    assert!(begun.text.contains("<svg"), "a picture for the app");
    let hidden = |name: &str| {
        let (_, rest) = begun.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().replace("&amp;", "&")
    };
    let (secret, uri) = (hidden("secret"), hidden("uri"));
    let path = "/account/second-factor/confirm";
    let wrong = browser.post(path, &[("code", "12"), ("secret", &secret), ("uri", &uri)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("<svg") && wrong.text.contains("present code"), "it can be tried again");
    let code = code(&secret, 0);
    let done = browser.post(path, &[("code", &code), ("secret", &secret), ("uri", &uri)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(done.text.contains("shown this once") && !done.text.contains(&secret));
    assert_eq!(done.text.matches("<li><code>").count(), 10, "ten recovery codes");
    let page = browser.get("/account/second-factor").await.text;
    assert!(page.contains("10 recovery codes are left") && !page.contains("<li><code>"), "and not again");
    let renewed = browser.post("/account/second-factor/codes", &[]).await.text;
    assert_eq!(renewed.matches("<li><code>").count(), 10);
    assert_eq!(browser.post("/account/second-factor/remove", &[]).await.status, StatusCode::OK);
    assert!(browser.get("/account").await.text.contains("Set it up"));
}

#[tokio::test]
async fn one_session_is_ended_and_the_password_is_changed() {
    let (house, ada) = House::with_ada().await;
    let (browser, other) = (house.browser(ada).await, house.browser(ada).await);
    let actor = Actor::user(ada);
    let page = browser.get("/account").await.text;
    assert!(page.contains("this one") && page.contains("End it"));
    let open = sessions::list(&actor, &house.store, ada, 10).await.unwrap();
    assert_eq!(open.len(), 2);
    let (_, rest) = page.split_once("action=\"/account/sessions/end\"").unwrap();
    let (_, rest) = rest.split_once("name=\"id\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap();
    assert_eq!(browser.post("/account/sessions/end", &[("id", id)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/").await.status, StatusCode::SEE_OTHER, "the other one is over");
    assert_eq!(browser.get("/").await.status, StatusCode::OK);

    let new = "an entirely different phrase";
    let fields = |present: &'static str, again: &'static str| {
        [("current_password", present), ("new_password", new), ("new_again", again)]
    };
    let path = "/account/password";
    for (present, again, said) in
        [(PASSWORD, "something else here", "not the same"), ("wrong wrong wrong", new, "not your present password")]
    {
        let refused = browser.post(path, &fields(present, again)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(said) && !refused.text.contains(new), "{}", refused.text);
    }
    let done = browser.post(path, &fields(PASSWORD, new)).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/account?done=yes"));
    let stranger = house.stranger();
    assert_eq!(stranger.post("/login", &[("login", "ada"), ("password", new)]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn one_says_how_one_is_told_and_tries_it() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let path = "/account/telling";
    let fields =
        [("time_zone", "Europe/Berlin"), ("quiet_from", "22:00"), ("quiet_to", "07:00"), ("push_to", "ada-7f3k9")];
    let done = browser.post(path, &fields).await;
    assert_eq!(done.header("location"), "/account/telling?done=yes", "{}", done.text);
    let page = browser.get(path).await.text;
    for part in ["value=\"Europe/Berlin\"", "value=\"22:00\"", "value=\"ada-7f3k9\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let wishes = browser.get("/v1/notifications/wishes").await.json();
    assert_eq!(
        (wishes["time_zone"].as_str(), wishes["push"]["to"].as_str()),
        (Some("Europe/Berlin"), Some("ada-7f3k9"))
    );
    for (field, value) in [("time_zone", "Atlantis"), ("sms_to", "0170"), ("quiet_from", "22:00")] {
        assert_eq!(browser.post(path, &[(field, value)]).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
    }
    // The ways themselves are an administrator's.
    let mail =
        [("act", "set"), ("host", "smtp.example.org"), ("from", "s@example.org"), ("secret.password", "p4ssw0rd")];
    assert_eq!(browser.post("/account/telling/email", &mail).await.status, StatusCode::SEE_OTHER);
    let shown = browser.get("/account/telling/email").await.text;
    assert!(shown.contains("smtp.example.org") && !shown.contains("p4ssw0rd"), "{shown}");
    assert!(browser.get(path).await.text.contains("in use"));
    let eve = house.add_user(ada, "eve", "user").await;
    let at_eve = house.browser(eve).await;
    assert_eq!(at_eve.get("/account/telling/email").await.status, StatusCode::FORBIDDEN);
    assert_eq!(at_eve.post("/account/telling/email", &mail).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/account/telling/email", &[("act", "remove")]).await.status, StatusCode::SEE_OTHER);
    let tried = browser.post("/account/telling/test", &[("way", "email")]).await.text;
    assert!(tried.contains("Mail was sent"), "{tried}");
    let failed = browser.post("/account/telling/test", &[("way", "sms")]).await.text;
    assert!(failed.contains("the gateway is not set up"), "{failed}");
    assert_eq!(
        browser.post("/account/telling/test", &[("way", "pigeon")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn the_handbook_has_versions_and_differences() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (browser, at_bob) = (house.browser(ada).await, house.browser(bob).await);
    assert!(browser.get("/handbook").await.text.contains("Nothing is written yet."));
    let save = |read: &'static str, content: &'static str| [("read", read), ("content", content)];
    assert_eq!(browser.post("/handbook", &save("0", "Be quick.\nBe kind.")).await.status, StatusCode::SEE_OTHER);
    let late = browser.post("/handbook", &save("0", "Be slow.")).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("Be slow."), "what was written is not lost");
    assert_eq!(browser.post("/handbook", &save("1", "Be quick.\nBe just.")).await.status, StatusCode::SEE_OTHER);
    let page = browser.get("/handbook?version=2").await.text;
    assert!(page.contains("<del>Be kind.</del>") && page.contains("<ins>Be just.</ins>"), "{page}");
    assert!(browser.get("/handbook?version=1").await.text.contains("Be kind."));
    assert_eq!(browser.get("/handbook?version=9").await.status, StatusCode::NOT_FOUND);
    assert!(!at_bob.get("/handbook").await.text.contains("Write the next version"));
    assert_eq!(at_bob.post("/handbook", &save("2", "Pay bob.")).await.status, StatusCode::FORBIDDEN);
    let models = browser.get("/models").await.text;
    assert!(models.contains("claude-sonnet-4-5") && models.contains("Cost a day"), "{models}");
}

#[tokio::test]
async fn facts_are_told_changed_and_forgotten() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (browser, at_bob) = (house.browser(ada).await, house.browser(bob).await);
    assert!(browser.get("/memory").await.text.contains("Nothing is known yet."));
    let told = at_bob.post("/memory", &[("content", "Bob likes <b>tea</b>.")]).await;
    assert_eq!((told.status, told.header("location")), (StatusCode::SEE_OTHER, "/memory"), "{}", told.text);
    assert_eq!(at_bob.post("/memory", &[("content", "x"), ("all", "yes")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(at_bob.post("/memory", &[("content", " ")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        browser.post("/memory", &[("content", "We close at five."), ("all", "yes")]).await.status,
        StatusCode::SEE_OTHER
    );
    let page = at_bob.get("/memory").await.text;
    assert!(page.contains("Bob likes &lt;b&gt;tea&lt;/b&gt;.") && page.contains("We close at five."), "{page}");
    assert_eq!(page.matches("Change or forget it").count(), 1, "everybody's fact is an admin's to change: {page}");
    let (_, rest) = page.split_once("name=\"id\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap().to_owned();
    let changed = at_bob.post("/memory/edit", &[("id", &id), ("words", "Bob likes coffee.")]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text);
    let page = browser.get("/memory").await.text;
    assert!(page.contains("Bob likes coffee.") && page.contains("changed "), "an admin sees it: {page}");
    assert_eq!(page.matches("Change or forget it").count(), 2);
    assert_eq!(browser.post("/memory/forget", &[("id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(at_bob.post("/memory/forget", &[("id", &id)]).await.status, StatusCode::NOT_FOUND);
    assert!(!at_bob.get("/memory").await.text.contains("coffee"));
}
