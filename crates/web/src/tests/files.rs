//! Files: brought in forms and as they are, given back whole and in parts, within limits and rights.

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode, header},
};
use futures_util::stream;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{Actor, file_attachments, kept_files, tasks, vault::Limits};
use uuid::Uuid;

use super::house::{Answer, Browser, House};
use crate::State;

const FORM: &str = "multipart/form-data; boundary=xxBOUNDARYxx";

/// A form's parts: name, file name, content.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
        body.extend(format!("--xxBOUNDARYxx\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--xxBOUNDARYxx--\r\n");
    body
}

async fn post(browser: &Browser<'_>, path: &str, kind: &str, body: Body) -> Answer {
    let request = browser.request(Method::POST, path).header(header::CONTENT_TYPE, kind);
    browser.house.send(request.header("sec-fetch-site", "same-origin").body(body).unwrap()).await
}

async fn task(house: &House, of: Uuid) -> Uuid {
    tasks::create(&Actor::user(of), &house.store, &tasks::NewTask::titled("Read it")).await.unwrap()
}

async fn kept(house: &House) -> i64 {
    kept_files::figures(&Actor::service(), &house.store).await.unwrap().files
}

#[tokio::test]
async fn a_file_comes_in_and_goes_out_byte_for_byte() {
    let (house, ada) = House::with_ada().await;
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let content: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
    let path = format!("/v1/tasks/{task}/attachments");
    // In pieces, of a length that is not said before.
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        content.chunks(7001).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let raw = format!("{path}?filename=../R%C3%A9sum%C3%A9.bin&expires_at=2099-01-01T00:00:00Z");
    let made = post(&browser, &raw, "application/pdf", Body::from_stream(stream::iter(pieces))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let row = made.json();
    let hash = hex::encode(Sha256::digest(&content));
    assert_eq!(
        (&row["filename"], &row["original_filename"], &row["mime_type"], &row["file_size"], &row["hash_checksum"]),
        (
            &json!(".._R\u{e9}sum\u{e9}.bin"),
            &json!("../R\u{e9}sum\u{e9}.bin"),
            &json!("application/octet-stream"),
            &json!(300_000),
            &json!(hash)
        ),
    );
    assert_eq!((&row["expires_at"], &row["is_encrypted"]), (&json!("2099-01-01T00:00:00Z"), &json!(true)));
    assert_eq!(browser.get(made.header("location")).await.json(), row);
    let place = format!("{}/content", made.header("location"));
    let (headers, bytes) = house
        .send_raw(browser.request(Method::GET, &place).header("accept-encoding", "gzip").body(Body::empty()).unwrap())
        .await;
    assert!(bytes == content);
    let tag = format!("\"{hash}\"");
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename*=UTF-8''.._R%C3%A9sum%C3%A9.bin"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("accept-ranges", "bytes"),
        ("content-length", "300000"),
        ("etag", &tag),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    // In a form: the same content is kept once.
    let body = form(&[("expires_at", None, b""), ("file", Some("again.bin"), &content)]);
    let again = post(&browser, &path, FORM, Body::from(body)).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    assert_eq!(again.json()["filename"], "again.bin");
    assert_eq!((kept(&house).await, browser.get(&path).await.json()["data"].as_array().unwrap().len()), (1, 2));
    let none = post(&browser, &format!("{path}?filename=none.txt"), "text/plain", Body::empty()).await;
    let empty = browser.get(&format!("{}/content", none.header("location"))).await;
    assert_eq!((empty.status, empty.bytes, empty.header("content-length")), (StatusCode::OK, 0, "0"));
}

#[tokio::test]
async fn a_file_under_a_key_is_hung_on_its_task_once() {
    let (house, ada) = House::with_ada().await;
    let limits = Limits { file_bytes: 1000, total_bytes: 1500 };
    let house = house.with(|state| State { vault: state.vault.with_limits(limits), ..state });
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let path = format!("/v1/tasks/{task}/attachments");
    let send = async |key: &str, path: &str, kind: &str, body: Body| {
        let request = browser.request(Method::POST, path).header(header::CONTENT_TYPE, kind);
        let request = request.header("sec-fetch-site", "same-origin").header("idempotency-key", key);
        house.send(request.body(body).unwrap()).await
    };
    let named = format!("{path}?filename=a");
    let first = send("k-1", &named, "application/json", Body::from(vec![1; 900])).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    // Again, in pieces, and in a form, though what there is room for would not hold it twice.
    let pieces = Body::from_stream(stream::iter((0..9).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![1; 100])))));
    let content = vec![1; 900];
    let in_form = Body::from(form(&[("file", Some("a"), &content)]));
    for (again, kind) in
        [(send("k-1", &named, "x/y", pieces).await, "raw"), (send("k-1", &path, FORM, in_form).await, "form")]
    {
        assert_eq!((again.status, &again.text), (StatusCode::CREATED, &first.text), "{kind}");
        assert_eq!(
            (again.header("idempotency-replayed"), again.header("location")),
            ("true", first.header("location"))
        );
    }
    // Another content, name, time or task is another request, and one that is too large is no request.
    let other = tasks::create(&Actor::user(ada), &house.store, &tasks::NewTask::titled("Another")).await.unwrap();
    for (address, body, code) in [
        (&named, vec![2; 900], "key_reused"),
        (&format!("{path}?filename=b"), content.clone(), "key_reused"),
        (&format!("{named}&expires_at=2099-01-01T00:00:00Z"), content.clone(), "key_reused"),
        (&format!("/v1/tasks/{other}/attachments?filename=a"), content.clone(), "key_reused"),
        (&named, vec![1; 1001], "too_large"),
    ] {
        assert_eq!(send("k-1", address, "x/y", Body::from(body)).await.json()["code"], code, "{address}");
    }
    // What was refused gives its key back: here there is no room, then there is.
    assert_eq!(send("k-2", &named, "x/y", Body::from(vec![3; 700])).await.json()["code"], "quota");
    assert_eq!(send("k-2", &named, "x/y", Body::from(vec![3; 10])).await.status, StatusCode::CREATED);
    // Two at once: one is hung, the other is told to wait, or gets its answer.
    let (a, b) = tokio::join!(
        send("k-3", &named, "x/y", Body::from("at once")),
        send("k-3", &named, "x/y", Body::from("at once"))
    );
    for answer in [&a, &b] {
        assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status), "{}", answer.text);
    }
    assert_eq!(send("", &named, "x/y", Body::from("a")).await.json()["code"], "malformed");
    let rows = file_attachments::list(&Actor::user(ada), &house.store, task).await.unwrap();
    assert_eq!((rows.len(), kept(&house).await), (3, 3));
    assert_eq!(house.state.vault.older_than(std::time::Duration::ZERO, 100).len(), 3, "and no more on the disk");
    assert_eq!(house.state.vault.incoming_bytes(), 0);
}

#[tokio::test]
async fn a_file_is_taken_off_by_whoever_may_change_the_task() {
    let (house, ada) = House::with_ada().await;
    let [bob, eve] = [house.add_user(ada, "bob", "user").await, house.add_user(ada, "eve", "user").await];
    let task = task(&house, bob).await;
    let browser = house.browser(bob).await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let answer =
            post(&browser, &format!("/v1/tasks/{task}/attachments?filename={name}"), "x/y", Body::from(name)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        made.push(answer);
    }
    let first = browser.get("/v1/attachments?limit=2&fields=filename").await.json();
    assert_eq!(first["data"], json!([{"filename": "c"}, {"filename": "b"}]));
    let rest = browser.get(&format!("/v1/attachments?cursor={}", first["next"].as_str().unwrap())).await.json();
    assert_eq!((&rest["data"][0]["filename"], &rest["next"]), (&json!("a"), &json!(null)));
    let [path, tag] = ["location", "etag"].map(|name| made[0].header(name).to_owned());
    let remove = async |whose: &Browser<'_>, tag: &str| {
        let request = whose.request(Method::DELETE, &path).header("x-steward-csrf", "1").header("if-match", tag);
        house.send(request.body(Body::empty()).unwrap()).await.status
    };
    let stranger = house.browser(eve).await;
    assert_eq!(stranger.get("/v1/attachments").await.json()["data"], json!([]));
    assert_eq!(remove(&stranger, "*").await, StatusCode::NOT_FOUND);
    assert_eq!(remove(&browser, "\"other\"").await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(remove(&browser, &tag).await, StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&path).await.status, StatusCode::NOT_FOUND);
    // On the task's page.
    let id = made[1].header("location").rsplit('/').next().unwrap().to_owned();
    let place = format!("/files/{id}/remove");
    assert!(browser.get(&format!("/tasks/{task}")).await.text.contains(&place));
    assert_eq!(browser.post(&place, &[]).await.status, StatusCode::SEE_OTHER);
    let left = browser.get(&format!("/v1/tasks/{task}/attachments")).await.json();
    assert_eq!((left["data"].as_array().unwrap().len(), &left["data"][0]["filename"]), (1, &json!("c")));
}

#[tokio::test]
async fn a_part_is_given_as_http_says() {
    let (house, ada) = House::with_ada().await;
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let made =
        post(&browser, &format!("/v1/tasks/{task}/attachments?filename=a"), "x/y", Body::from(content.clone())).await;
    let (path, hash) = (format!("{}/content", made.header("location")), made.json()["hash_checksum"].clone());
    let tag = format!("\"{}\"", hash.as_str().unwrap());
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(browser.request(method, &path), |r, (name, value)| r.header(*name, *value));
        let answer = house.open(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let said = parts.headers.get("content-range").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        (parts.status.as_u16(), said, bytes)
    };
    let get = async |headers: &[(&str, &str)]| ask(Method::GET, headers).await;
    for (range, said, part) in [
        ("bytes=0-0", "bytes 0-0/200000", &content[..1]),
        ("bytes=65535-65536", "bytes 65535-65536/200000", &content[65_535..65_537]),
        ("bytes=199999-", "bytes 199999-199999/200000", &content[199_999..]),
        ("bytes=-70000", "bytes 130000-199999/200000", &content[130_000..]),
        ("bytes=100-999999999", "bytes 100-199999/200000", &content[100..]),
    ] {
        let (status, found, bytes) = get(&[("range", range)]).await;
        assert_eq!((status, found.as_str(), bytes.len()), (206, said, part.len()), "{range}");
        assert!(bytes == part, "{range}");
    }
    for range in ["bytes=5-2", "bytes=0-1,4-5", "lines=0-1"] {
        assert_eq!(get(&[("range", range)]).await.0, 200, "{range}");
    }
    let (status, said, _) = get(&[("range", "bytes=200000-")]).await;
    assert_eq!((status, said.as_str()), (416, "bytes */200000"));
    assert_eq!(get(&[("range", "bytes=0-9"), ("if-range", &tag)]).await.0, 206);
    assert_eq!(get(&[("range", "bytes=0-9"), ("if-range", "\"another\"")]).await.2.len(), 200_000);
    assert_eq!(get(&[("range", "bytes=0-9"), ("if-none-match", &tag)]).await.0, 304, "it comes before the range");
    assert_eq!(get(&[("if-none-match", "\"another\"")]).await.0, 200);
    assert_eq!(get(&[("if-match", "\"another\"")]).await.0, 412);
    assert_eq!(get(&[("if-match", &tag), ("range", "bytes=1-1")]).await.0, 206);
    let (status, said, bytes) = ask(Method::HEAD, &[("range", "bytes=0-0")]).await;
    assert_eq!((status, said.as_str(), bytes.len()), (200, "", 0), "a range is of GET alone");
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let (house, ada) = House::with_ada().await;
    let limits = Limits { file_bytes: 1000, total_bytes: 1500 };
    let house = house.with(|state| State { vault: state.vault.with_limits(limits), ..state });
    let (bob, obs) = (house.add_user(ada, "bob", "user").await, house.add_user(ada, "obs", "observer").await);
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let path = format!("/v1/tasks/{task}/attachments");
    let named = format!("{path}?filename=a");
    let form_of = |parts: &[(&str, Option<&str>, &[u8])]| Body::from(form(parts));
    let broken = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))]));
    let unsaid = Body::from_stream(stream::iter((0..50).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![1; 100])))));
    for (what, address, kind, body, status, code) in [
        ("too large", &named, "x/y", Body::from(vec![0; 1001]), 413, "too_large"),
        ("far too large", &named, "x/y", Body::from(vec![0; 100_000]), 413, "too_large"),
        ("too large, and not said before", &named, "x/y", unsaid, 413, "too_large"),
        ("no name", &path, "x/y", Body::from("a"), 422, "invalid"),
        ("past", &format!("{named}&expires_at=2001-01-01T00:00:00Z"), "x/y", Body::from("a"), 422, "invalid"),
        ("unknown", &format!("{named}&mime_type=x"), "x/y", Body::from("a"), 422, "invalid"),
        ("half", &named, "x/y", broken, 400, "malformed"),
        ("no file", &path, FORM, form_of(&[("expires_at", None, b"2099-01-01")]), 422, "invalid"),
        ("no choice", &path, FORM, form_of(&[("file", Some(""), b"")]), 422, "invalid"),
        ("two files", &path, FORM, form_of(&[("file", Some("a"), b"1"), ("file", Some("b"), b"2")]), 422, "invalid"),
        ("unknown field", &path, FORM, form_of(&[("file", Some("a"), b"1"), ("x", None, b"2")]), 422, "invalid"),
        ("no form", &path, FORM, Body::from("nonsense"), 422, "invalid"),
        ("cut form", &path, FORM, Body::from(form(&[("file", Some("a"), b"1")])[..90].to_vec()), 400, "malformed"),
    ] {
        let answer = post(&browser, address, kind, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{what}: {}", answer.text);
        assert!(
            what != "too large" || answer.json()["detail"].as_str().unwrap().contains("1000 bytes"),
            "{}",
            answer.text
        );
    }
    let filled = post(&browser, &named, "x/y", Body::from(vec![1; 900])).await;
    assert_eq!(filled.status, StatusCode::CREATED);
    let full = post(&browser, &named, "x/y", Body::from(vec![2; 601])).await;
    assert_eq!(
        (full.status, &full.json()["code"]),
        (StatusCode::INSUFFICIENT_STORAGE, &json!("quota")),
        "{}",
        full.text
    );
    assert_eq!(post(&browser, &named, "x/y", Body::from(vec![2; 600])).await.status, StatusCode::CREATED, "just");
    // Who may not: a stranger, an observer, a token without the scope, another site.
    let file = filled.json()["id"].as_str().unwrap().to_owned();
    let stranger = house.browser(bob).await;
    assert_eq!(post(&stranger, &named, "x/y", Body::from("a")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&format!("/v1/attachments/{file}/content")).await.status, StatusCode::NOT_FOUND);
    let observer = house.browser(obs).await;
    assert_eq!(post(&observer, &named, "x/y", Body::from("a")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(observer.get(&format!("/v1/attachments/{file}/content")).await.status, StatusCode::OK);
    let program = house.program(ada, ada, &["read"]).await;
    assert_eq!(post(&program, &named, "x/y", Body::from("a")).await.json()["code"], "scope_needed");
    assert_eq!(program.get(&format!("/v1/attachments/{file}/content")).await.status, StatusCode::OK);
    for headers in [&[("sec-fetch-site", "cross-site")][..], &[]] {
        let request = headers.iter().fold(browser.request(Method::POST, &named), |r, (n, v)| r.header(*n, *v));
        let answer =
            house.send(request.header(header::CONTENT_TYPE, "text/plain").body(Body::from("a")).unwrap()).await;
        assert_eq!(answer.json()["code"], "cross_site", "{}", answer.text);
    }
    assert_eq!(kept(&house).await, 2);
    assert_eq!(house.state.vault.older_than(std::time::Duration::ZERO, 100).len(), 2, "and no more on the disk");
    assert_eq!(house.state.vault.clear_incoming(std::time::Duration::ZERO).unwrap(), 0);
    assert_eq!(house.state.vault.incoming_bytes(), 0);
}

#[tokio::test]
async fn a_file_is_added_on_the_tasks_page() {
    let (house, ada) = House::with_ada().await;
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let page = browser.get(&format!("/tasks/{task}")).await.text;
    assert!(
        page.contains("enctype=\"multipart/form-data\"") && page.contains(&format!("action=\"/tasks/{task}/files\""))
    );
    let path = format!("/tasks/{task}/files");
    let token = browser.token.clone();
    let sent = |token: &str, name: &str| {
        form(&[
            ("csrf", None, token.as_bytes()),
            ("expires_at", None, b"2099-01-01"),
            ("file", Some(name), b"Gr\xc3\xbc\xc3\x9fe"),
        ])
    };
    let added = post(&browser, &path, FORM, Body::from(sent(&token, "brief \u{e4}.txt"))).await;
    assert_eq!(
        (added.status, added.header("location")),
        (StatusCode::SEE_OTHER, &*format!("/tasks/{task}")),
        "{}",
        added.text
    );
    let rows = file_attachments::list(&Actor::user(ada), &house.store, task).await.unwrap();
    assert_eq!((rows.len(), rows[0].filename.as_str()), (1, "brief \u{e4}.txt"));
    assert_eq!(rows[0].expires_at.unwrap().to_string(), "2099-01-02T00:00:00Z");
    assert_eq!(browser.get(&format!("/files/{}", rows[0].id)).await.text, "Gr\u{fc}\u{df}e");
    // Without the token before the file nothing of it is taken; a refusal shows the page again.
    for wrong in [sent("", "a"), form(&[("file", Some("a"), b"1"), ("csrf", None, token.as_bytes())])] {
        let answer = post(&browser, &path, FORM, Body::from(wrong)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.text.contains("token is missing"), "{}", answer.text);
    }
    let none =
        post(&browser, &path, FORM, Body::from(form(&[("csrf", None, token.as_bytes()), ("file", Some(""), b"")])))
            .await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.text.contains("Choose a file first") || none.text.contains("choose a file first"), "{}", none.text);
    assert_eq!(kept(&house).await, 1);
}

#[tokio::test]
async fn a_damaged_file_is_given_to_nobody() {
    let (house, ada) = House::with_ada().await;
    let (browser, task) = (house.browser(ada).await, task(&house, ada).await);
    let made =
        post(&browser, &format!("/v1/tasks/{task}/attachments?filename=a"), "x/y", Body::from(vec![1; 200_000])).await;
    let path = format!("{}/content", made.header("location"));
    let rows = file_attachments::list(&Actor::user(ada), &house.store, task).await.unwrap();
    let file = house.folder().join("attachments").join(&rows[0].storage_path);
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let request = || browser.request(Method::GET, &path).body(Body::empty()).unwrap();
    let (_, body) = house.open(request()).await.into_parts();
    assert!(axum::body::to_bytes(body, 1 << 20).await.is_err(), "it breaks off, and does not just end");
    let answer = house.send(request()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("damaged")), "{}", answer.text);
}
