//! The second factor: enrolled, asked for, used once, recovered, and taken away.

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use domain::second_factor;
use ring::hmac;
use serde_json::{Value as Json, json};
use store::Actor;

use super::house::{Browser, House, PASSWORD};

/// What an authenticator app shows, `steps` half minutes from now.
pub(super) fn code(secret: &str, steps: i64) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<u8> = secret
        .chars()
        .flat_map(|c| {
            let value = u8::try_from(letters.find(c).unwrap()).unwrap();
            (0..5).rev().map(move |bit| (value >> bit) & 1)
        })
        .collect();
    let key: Vec<u8> = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| (all << 1) | bit)).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let step = store::now().as_second() / 30 + steps;
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let place = usize::from(mac.as_ref()[19] & 15);
    let four = u32::from_be_bytes(mac.as_ref()[place..place + 4].try_into().unwrap());
    format!("{:06}", (four & 0x7fff_ffff) % 1_000_000)
}

async fn remove(house: &House, browser: &Browser<'_>, path: &str) -> StatusCode {
    house
        .send(browser.request(Method::DELETE, path).header("x-steward-csrf", "1").body(Body::empty()).unwrap())
        .await
        .status
}

async fn log_in(house: &House, code: Option<&str>) -> (StatusCode, Json) {
    let mut shown = json!({"login": "ada", "password": PASSWORD});
    if let Some(code) = code {
        shown["code"] = json!(code);
    }
    let answer = house.stranger().post_json("/v1/auth/login", &shown).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_used_once() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let path = "/v1/auth/second-factor";
    assert_eq!(browser.get(path).await.json(), json!({"is_on": false, "confirmed_at": null, "recovery_codes_left": 0}));
    let begun = browser.post_json(path, &json!({})).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text);
    let begun = begun.json();
    let secret = begun["secret"].as_str().unwrap();
    let uri = format!("otpauth://totp/Steward:ada?secret={secret}&issuer=Steward");
    assert!(begun["uri"].as_str().unwrap().starts_with(&uri), "{begun}");
    assert_eq!(log_in(&house, None).await.0, StatusCode::OK, "it is asked of nobody before it is confirmed");
    let wrong = browser.post_json(&format!("{path}/confirm"), &json!({"code": "12345"})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let confirmed = browser.post_json(&format!("{path}/confirm"), &json!({"code": code(secret, 0)})).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.text);
    let codes: Vec<String> = serde_json::from_value(confirmed.json()["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    assert_eq!(browser.get(path).await.json()["is_on"], true);
    assert_eq!(browser.post_json(path, &json!({})).await.status, StatusCode::CONFLICT, "there is one");

    let (status, said) = log_in(&house, None).await;
    assert_eq!((status, &said["code"]), (StatusCode::UNAUTHORIZED, &json!("second_factor_needed")));
    let now = code(secret, 1);
    assert_eq!(log_in(&house, Some(&now)).await.0, StatusCode::OK);
    assert_eq!(log_in(&house, Some(&now)).await.0, StatusCode::UNPROCESSABLE_ENTITY, "a code is taken once");
    assert_eq!(log_in(&house, Some(&code(secret, 0))).await.0, StatusCode::UNPROCESSABLE_ENTITY, "and none before it");
    assert_eq!(log_in(&house, Some(&codes[3].to_lowercase().replace('-', " "))).await.0, StatusCode::OK);
    assert_eq!(log_in(&house, Some(&codes[3])).await.0, StatusCode::UNPROCESSABLE_ENTITY, "it is used up");
    assert_eq!(browser.get(path).await.json()["recovery_codes_left"], 9);
    // Without the right password no code is even looked at.
    let shown = json!({"login": "ada", "password": "not the password", "code": codes[4]});
    assert_eq!(house.stranger().post_json("/v1/auth/login", &shown).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.get(path).await.json()["recovery_codes_left"], 9);

    let renewed = browser.post_json(&format!("{path}/recovery-codes"), &json!({})).await.json();
    assert_eq!(log_in(&house, Some(&codes[5])).await.0, StatusCode::UNPROCESSABLE_ENTITY, "those before are gone");
    assert_eq!(log_in(&house, renewed["recovery_codes"][0].as_str()).await.0, StatusCode::OK);
    assert_eq!(remove(&house, &browser, path).await, StatusCode::NO_CONTENT);
    assert_eq!(log_in(&house, None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let (house, ada) = House::with_ada().await;
    let me = Actor::user(ada);
    let enrolment = second_factor::begin(&house.store, &house.state.vault, &me).await.unwrap();
    second_factor::confirm(&house.store, &house.state.vault, &me, &code(&enrolment.secret, 0)).await.unwrap();
    // Each time a browser of its own: what counts is whose code it is.
    for _ in 0..10 {
        assert_eq!(log_in(&house, Some("guess")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let right = code(&enrolment.secret, 1);
    assert_eq!(log_in(&house, Some(&right)).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_page_asks_for_the_code_after_the_password() {
    let (house, ada) = House::with_ada().await;
    let me = Actor::user(ada);
    let enrolment = second_factor::begin(&house.store, &house.state.vault, &me).await.unwrap();
    second_factor::confirm(&house.store, &house.state.vault, &me, &code(&enrolment.secret, 0)).await.unwrap();
    let browser = house.stranger();
    let own = [("sec-fetch-site", "same-origin")];
    let shown = [("login", "ada"), ("password", PASSWORD), ("next", "/tasks")];
    let page = browser.post_raw("/login", &shown, &own).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("One more step") && page.headers.get("set-cookie").is_none(), "{}", page.text);
    assert!(!page.text.contains(PASSWORD), "the password is not sent back");
    let (_, rest) = page.text.split_once("name=\"challenge\" value=\"").unwrap();
    let challenge = rest.split('"').next().unwrap();
    let send = async |challenge: &str, code: &str| {
        browser.post_raw("/login/code", &[("challenge", challenge), ("code", code), ("next", "/tasks")], &own).await
    };
    let forged = challenge.replace(&ada.to_string(), &uuid::Uuid::nil().to_string());
    assert_eq!(send(&forged, &code(&enrolment.secret, 1)).await.header("location"), "/login", "it is begun anew");
    let wrong = send(challenge, "000").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("One more step"));
    let right = send(challenge, &code(&enrolment.secret, 1)).await;
    assert_eq!((right.status, right.header("location")), (StatusCode::SEE_OTHER, "/tasks"));
    assert!(right.header("set-cookie").starts_with("steward_session="));
}

#[tokio::test]
async fn an_administrator_lets_somebody_in_again_and_no_token_does() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let me = Actor::user(bob);
    let enrolment = second_factor::begin(&house.store, &house.state.vault, &me).await.unwrap();
    second_factor::confirm(&house.store, &house.state.vault, &me, &code(&enrolment.secret, 0)).await.unwrap();
    let (factor, password) = (format!("/v1/users/{bob}/second-factor"), format!("/v1/users/{bob}/password"));
    let new = json!({ "new_password": "another long password" });
    let program = house.program(ada, ada, &["users"]).await;
    assert_eq!(remove(&house, &program, &factor).await, StatusCode::FORBIDDEN);
    let by_token = program.post_json(&password, &new).await;
    assert_eq!((by_token.status, &by_token.json()["code"]), (StatusCode::FORBIDDEN, &json!("reauthentication_needed")));
    let (admin, before) = (house.browser(ada).await, house.browser(bob).await);
    let short = admin.post_json(&password, &json!({ "new_password": "short" })).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", short.text);
    assert_eq!(before.get("/v1/auth/session").await.status, StatusCode::OK, "nothing was changed");
    assert_eq!(admin.post_json(&password, &new).await.status, StatusCode::NO_CONTENT);
    assert_eq!(before.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED, "what was open has ended");
    let log_in = async || {
        let shown = json!({ "login": "bob", "password": "another long password" });
        house.stranger().post_json("/v1/auth/login", &shown).await.status
    };
    assert_eq!(log_in().await, StatusCode::UNAUTHORIZED, "the second factor is still asked for");
    assert_eq!(remove(&house, &admin, &factor).await, StatusCode::NO_CONTENT);
    assert_eq!(log_in().await, StatusCode::OK);
    assert_eq!(remove(&house, &admin, &factor).await, StatusCode::NOT_FOUND);
}
