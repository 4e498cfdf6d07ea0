//! Backups on the System page: what an administrator sees of them, and what he may do.

use axum::http::StatusCode;
use jiff::SignedDuration;
use store::{Actor, schedules};

use super::house::{BUNDLE, House};

#[tokio::test]
async fn an_administrator_sees_how_backups_stand_and_makes_one_now() {
    let (house, ada) = House::with_ada().await;
    let (browser, service) = (house.browser(ada).await, Actor::service());
    let page = browser.get("/system").await.text;
    for part in [
        BUNDLE,
        "/mnt/elsewhere",
        "5.0 MiB",
        "not tried out",
        "The place is away; mend it.",
        "Back up now",
        "it was not finished",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("No backup was tried out yet"), "{page}");

    let asked = browser.post("/system/run", &[("name", "backup")]).await;
    assert_eq!((asked.status, asked.header("location")), (StatusCode::SEE_OTHER, "/system#backups"));
    let page = browser.get("/system").await.text;
    assert!(page.contains("begins within a quarter of a minute") && page.contains("data-live=\"poll\""), "{page}");
    assert!(!page.contains("Back up now"), "it is asked for once");
    // A node takes it up, and tells how far it has come; whoever comes back to the page sees it.
    let at = schedules::list(&service, &house.store).await.unwrap();
    let at = at.into_iter().find(|s| s.name == "backup").unwrap().requested_at.unwrap();
    let (minute, store) = (SignedDuration::from_mins(1), &house.store);
    let held = schedules::fire(&service, store, "backup", at, "node", minute).await.unwrap().unwrap();
    schedules::advance(&service, store, &held, None, false).await.unwrap();
    schedules::renew(&service, store, &held, minute, Some("attachments kept: 3 of 10")).await.unwrap();
    let page = browser.get("/system").await.text;
    for part in ["attachments kept: 3 of 10", "<progress max=\"10\" value=\"3\"", "action=\"/system/cancel\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    schedules::finish(&service, store, &held, false, "failed: no space", 9).await.unwrap();
    let page = browser.get("/system").await.text;
    assert!(page.contains("The last backup failed: no space") && page.contains("Back up now"), "{page}");

    // One that runs is broken off, by who may; whoever runs it sees that, undoes it, and says so. Nobody is alarmed.
    assert!(schedules::request(&Actor::user(ada), store, "backup").await.unwrap());
    let at = schedules::list(&service, store).await.unwrap();
    let at = at.into_iter().find(|s| s.name == "backup").unwrap().requested_at.unwrap();
    let held = schedules::fire(&service, store, "backup", at, "node", minute).await.unwrap().unwrap();
    schedules::advance(&service, store, &held, None, false).await.unwrap();
    let bob = house.add_user(ada, "bob", "user").await;
    assert_eq!(
        house.browser(bob).await.post("/system/cancel", &[("name", "backup")]).await.status,
        StatusCode::NOT_FOUND
    );
    let cancelled = browser.post("/system/cancel", &[("name", "backup")]).await;
    assert_eq!((cancelled.status, cancelled.header("location")), (StatusCode::SEE_OTHER, "/system#backups"));
    assert!(!schedules::renew(&service, store, &held, minute, None).await.unwrap(), "it is no longer the node's");
    assert!(schedules::conclude(&service, store, &held, "nothing of it is left").await.unwrap());
    let page = browser.get("/system").await.text;
    assert!(page.contains("cancelled by ada; nothing of it is left"), "{page}");
    assert!(page.contains("Back up now") && !page.contains("The last backup failed: cancelled"), "{page}");
    assert_eq!(
        browser.post("/system/cancel", &[("name", "backup")]).await.status,
        StatusCode::SEE_OTHER,
        "it had ended"
    );

    // A drill that went well is told with what it took, and the backup is known to come back.
    assert!(schedules::request(&Actor::user(ada), store, "backup-drill").await.unwrap());
    let at = schedules::list(&service, store).await.unwrap();
    let at = at.into_iter().find(|s| s.name == "backup-drill").unwrap().requested_at.unwrap();
    let held = schedules::fire(&service, store, "backup-drill", at, "node", minute).await.unwrap().unwrap();
    schedules::advance(&service, store, &held, None, false).await.unwrap();
    let drill = domain::backups::Drill {
        bundle: BUNDLE.to_owned(),
        as_of: at,
        rows: 12,
        audit_links: 34,
        attachments: 5,
        recovery_ms: 2500,
        age_s: 3,
    };
    schedules::finish(&service, store, &held, true, &drill.to_string(), 2600).await.unwrap();
    let page = browser.get("/system").await.text;
    for part in ["restored and verified", "12 rows, 34 links of the audit chain, 5 attachments", "2.5 s", "3.0 s old"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn who_is_no_administrator_sees_and_makes_none() {
    let (house, ada) = House::with_ada().await;
    for role in ["user", "observer"] {
        let one = house.add_user(ada, &format!("the-{role}"), role).await;
        let browser = house.browser(one).await;
        let page = browser.get("/system").await.text;
        assert!(!page.contains(BUNDLE) && !page.contains("Back up now"), "{role}: {page}");
        assert_eq!(browser.post("/system/run", &[("name", "backup")]).await.status, StatusCode::NOT_FOUND, "{role}");
    }
}
