//! What every request passes: hosts, forged forms, bounds, headers, and pages that are not there.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use store::{Actor, approvals};

use super::house::{House, PASSWORD};

type Pairs<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn a_forged_form_decides_nothing() {
    let (house, ada) = House::with_ada().await;
    let (_, id) = house.asked(ada, ada).await;
    let (path, browser) = (format!("/approvals/{id}/decision"), house.browser(ada).await);
    let token = ("csrf", browser.token.as_str());
    let yes = ("decision", "approve");
    let tries: [(Pairs, Pairs); 6] = [
        (&[yes], &[("sec-fetch-site", "same-origin")]),
        (&[("csrf", "guess"), yes], &[("sec-fetch-site", "same-origin")]),
        (&[token, yes], &[("sec-fetch-site", "cross-site")]),
        (&[token, yes], &[("sec-fetch-site", "same-site")]),
        (&[token, yes], &[("origin", "http://evil.example")]),
        (&[yes], &[("origin", "null")]),
    ];
    for (fields, headers) in tries {
        let answer = browser.post_raw(&path, fields, headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?} {headers:?}");
    }
    assert_eq!(approvals::get(&Actor::user(ada), &house.store, id).await.unwrap().unwrap().status, "pending");
    assert_eq!(
        browser.post_raw(&path, &[token, yes], &[("origin", "http://127.0.0.1:8000")]).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn the_disk_is_asked_for_administrators_alone() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let settings = "{\"folders\": \"not a list\"}";
    let new = serde_json::json!({ "name": "own", "command": "builtin:files", "args": [settings] });
    let fields = [("name", "own"), ("builtin", "files"), ("config", settings)];
    for (user, status) in [(bob, StatusCode::FORBIDDEN), (ada, StatusCode::UNPROCESSABLE_ENTITY)] {
        let browser = house.browser(user).await;
        assert_eq!(browser.post_json("/v1/servers", &new).await.status, status);
        assert_eq!(browser.post("/servers/new", &fields).await.status, status);
    }
}

#[tokio::test]
async fn another_host_is_not_answered() {
    let house = House::new().await;
    for (path, status) in [
        ("/login", StatusCode::MISDIRECTED_REQUEST),
        ("/v1/status", StatusCode::MISDIRECTED_REQUEST),
        ("/metrics", StatusCode::MISDIRECTED_REQUEST),
        ("/healthz", StatusCode::OK),
        ("/readyz", StatusCode::OK),
    ] {
        let request = Request::get(path).header(header::HOST, "evil.example").body(Body::empty()).unwrap();
        assert_eq!(house.send(request).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_everybody_has_an_address_of_his_own() {
    let (house, ada) = House::with_ada().await;
    let trusted = crate::Proxies::parse("127.0.0.1").unwrap();
    let house = house.with(|state| crate::State { trusted_proxies: trusted, ..state });
    let log_in = async |password: &str, from: &str| {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 4711));
        let request = Request::post("/login")
            .header(header::HOST, "127.0.0.1:8000")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("x-forwarded-for", format!("198.51.100.1, {from}"))
            .extension(axum::extract::ConnectInfo(peer));
        let form = format!("login=ada&password={}", password.replace(' ', "+"));
        house.send(request.body(Body::from(form)).unwrap()).await.status
    };
    for _ in 0..10 {
        assert_eq!(log_in("not this one", "203.0.113.9").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(log_in(PASSWORD, "203.0.113.9").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(PASSWORD, "203.0.113.10").await, StatusCode::SEE_OTHER, "others still come in");
    let open = store::sessions::list(&Actor::user(ada), &house.store, ada, 10).await.unwrap();
    assert_eq!(open[0].ip_address.map(|ip| ip.to_string()).as_deref(), Some("203.0.113.10"));
}

#[tokio::test]
async fn requests_from_afar_are_bounded() {
    let house = House::new().await;
    let ask = async |ip: [u8; 4]| {
        let peer = std::net::SocketAddr::from((ip, 4711));
        let request = Request::get("/nothing").header(header::HOST, "127.0.0.1:8000");
        house.send(request.extension(axum::extract::ConnectInfo(peer)).body(Body::empty()).unwrap()).await
    };
    let mut refused = None;
    for _ in 0..1000 {
        let answer = ask([192, 0, 2, 1]).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    assert_eq!(refused.expect("a thousand at once are too many").header("retry-after"), "1");
    assert_eq!(ask([192, 0, 2, 2]).await.status, StatusCode::NOT_FOUND, "others go on");
    assert_eq!(ask([127, 0, 0, 1]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_and_fields_are_bounded() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let large = "x".repeat(300 * 1024);
    assert_eq!(browser.post("/notifications/read", &[("id", &large)]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let large = browser.post_json("/v1/tasks", &serde_json::json!({"title": large})).await;
    assert_eq!(
        (large.status, large.header("content-type")),
        (StatusCode::PAYLOAD_TOO_LARGE, "application/problem+json")
    );
    let many = vec![("a", "b"); 65];
    assert_eq!(browser.post("/notifications/read", &many).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get(&format!("/tasks?{}", "status=&".repeat(65))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn answers_carry_their_guards() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let request = browser.request(Method::GET, "/").header("x-request-id", "my-id.1").body(Body::empty()).unwrap();
    let page = house.send(request).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("x-request-id", "my-id.1"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        assert_eq!(page.header(name), value);
    }
    assert_eq!(house.stranger().get("/login").await.header("referrer-policy"), "same-origin");
    let (_, style) = page.text.split_once("rel=\"stylesheet\" href=\"").unwrap();
    let style = house.stranger().get(style.split('"').next().unwrap()).await;
    assert_eq!((style.status, style.header("cache-control")), (StatusCode::OK, "public, max-age=31536000, immutable"));
    let odd = house
        .send(browser.request(Method::GET, "/").header("x-request-id", "a b\"<").body(Body::empty()).unwrap())
        .await;
    assert!(odd.header("x-request-id").parse::<uuid::Uuid>().is_ok());
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    for path in [
        "/nowhere",
        "/tasks/7",
        "/approvals/00000000-0000-0000-0000-000000000000",
        "/assets/desk.css",
        "/assets/..%2fCargo.toml",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
    }
    for path in ["/v1/nowhere", "/v1/tasks/7", "/v1/tasks/00000000-0000-0000-0000-000000000000"] {
        let problem = browser.get(path).await;
        assert_eq!(
            (problem.status, problem.header("content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json"),
            "{path}"
        );
        assert_eq!(problem.json()["code"], "not_found");
    }
    assert_eq!(browser.get("/tasks?status=lost").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(browser.post("/tasks", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_link_from_elsewhere_brings_the_session_along() {
    let (house, _) = House::with_ada().await;
    let request = house
        .stranger()
        .request(Method::GET, "/approvals?status=all")
        .header("sec-fetch-site", "cross-site")
        .body(Body::empty())
        .unwrap();
    let step = house.send(request).await;
    assert_eq!(step.status, StatusCode::OK);
    assert!(step.text.contains("http-equiv=\"refresh\" content=\"0; url=/approvals?status=all\""), "{}", step.text);
}

#[tokio::test]
async fn figures_are_told() {
    let (house, ada) = House::with_ada().await;
    house.asked(ada, ada).await;
    let figures = house.stranger().get("/metrics").await.text;
    for line in [
        "steward_build_info{version=\"0.0.0-test\",database=\"SQLite\"} 1",
        "steward_approvals_pending 1",
        "steward_database_up 1",
        "steward_servers{status=\"inactive\"} 1",
    ] {
        assert!(figures.lines().any(|l| l == line), "{line}\n{figures}");
    }
}
