//! What ends a session: log-out, a suspended account, a new password; and who can't be taken away.

use axum::http::StatusCode;
use domain::accounts;
use store::Actor;

use super::house::{House, PASSWORD};

#[tokio::test]
async fn a_suspended_user_is_out_and_stays_out() {
    let (house, ada) = House::with_ada().await;
    let (ada, bob) = (Actor::user(ada), house.add_user(ada, "bob", "user").await);
    let browser = house.browser(bob).await;
    assert_eq!(browser.get("/v1/auth/session").await.status, StatusCode::OK);
    accounts::set_status(&house.store, &ada, bob, "suspended").await.unwrap();
    assert_eq!(browser.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
    accounts::set_status(&house.store, &ada, bob, "active").await.unwrap();
    assert_eq!(browser.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED, "the session has ended");
    assert_eq!(house.browser(bob).await.get("/v1/auth/session").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_began() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (ada, browser) = (Actor::user(ada), house.browser(bob).await);
    let short = accounts::set_password(&house.store, &ada, bob, "short".to_owned()).await;
    assert!(short.is_err() && browser.get("/v1/auth/session").await.status == StatusCode::OK, "nothing was changed");
    let refused = accounts::set_password(&house.store, &Actor::user(bob), bob, PASSWORD.to_owned()).await;
    assert!(refused.is_err() && browser.get("/v1/auth/session").await.status == StatusCode::OK);
    accounts::set_password(&house.store, &ada, bob, "another long password".to_owned()).await.unwrap();
    assert_eq!(browser.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
    let employee = store::users::agent(&Actor::service(), &house.store, accounts::EMPLOYEE).await.unwrap().unwrap();
    let agents = accounts::set_password(&house.store, &ada, employee, PASSWORD.to_owned()).await.unwrap_err();
    assert!(agents.to_string().contains("agent"), "{agents}");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (on, me) = (&house.store, Actor::user(ada));
    for refused in [
        accounts::set_status(on, &me, ada, "suspended").await,
        accounts::set_status(on, &me, ada, "inactive").await,
        accounts::set_role(on, &me, ada, "observer").await,
    ] {
        assert!(refused.unwrap_err().to_string().contains("only admin"));
    }
    let mine = accounts::set_role(on, &Actor::user(bob), bob, "admin").await.unwrap_err();
    assert!(mine.to_string().contains("you may not do this"), "{mine}");
    accounts::set_role(on, &me, bob, "admin").await.unwrap();
    accounts::set_role(on, &me, ada, "user").await.unwrap();
    let last = accounts::set_status(on, &Actor::user(bob), bob, "inactive").await.unwrap_err();
    assert!(last.to_string().contains("bob is the only admin"), "{last}");
}

#[tokio::test]
async fn the_caches_figures_are_told() {
    let (house, ada) = House::with_ada().await;
    house.browser(ada).await.get("/").await;
    let figures = house.stranger().get("/metrics").await.text;
    let told = |start: &str| figures.lines().any(|l| l.starts_with(start));
    for line in [
        "steward_cache_misses_total{cache=\"servers\"} ",
        "steward_cache_hits_total{cache=\"sessions\"} 0",
        "steward_cache_trusting ",
        "steward_session_uses_waiting 0",
        "steward_signals_listening ",
    ] {
        assert!(told(line), "{line}\n{figures}");
    }
    assert!(!told("steward_redis"), "without Redis nothing is said of it");
}
