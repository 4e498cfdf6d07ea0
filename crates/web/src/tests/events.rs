//! The stream of events: who hears what, how one goes on, and what ends it.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{Method, StatusCode},
};
use domain::accounts;
use futures_util::{StreamExt, future::join_all};
use serde_json::{Value as Json, json};
use store::{Actor, notifications, sessions, tasks, tasks::NewTask};
use uuid::Uuid;

use super::house::{Browser, House};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// A stream that is being read.
struct Reader {
    body: BodyDataStream,
    rest: String,
}

#[derive(Debug)]
struct Told {
    event: String,
    id: Option<i64>,
    data: Json,
}

impl Reader {
    async fn open(browser: &Browser<'_>, house: &House, path: &str, last: Option<i64>) -> Self {
        let mut request = browser.request(Method::GET, path);
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let answer = house.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body().into_data_stream(), rest: String::new() }
    }

    /// The next event; None at the end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
                let Some(event) = field("event:") else { continue };
                return Some(Told {
                    event: event.to_owned(),
                    id: field("id:").map(|id| id.parse().unwrap()),
                    data: serde_json::from_str(field("data:").unwrap()).unwrap(),
                });
            }
            let chunk = tokio::time::timeout(LIMIT, self.body.next()).await.expect("nothing came in time")?;
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// Reads until an event of this kind about this row.
    async fn until(&mut self, event: &str, id: Uuid) -> Told {
        loop {
            let told = self.next().await.expect("the stream ended");
            if told.event == event && told.data["id"] == json!(id) {
                return told;
            }
        }
    }
}

/// Reads to the end, which is told.
async fn ends(reader: &mut Reader) {
    loop {
        let told = reader.next().await.expect("the end is told");
        if told.event == "ended" {
            assert!(reader.next().await.is_none());
            return;
        }
    }
}

async fn task_of(house: &House, user: Uuid, title: &str) -> Uuid {
    tasks::create(&Actor::user(user), &house.store, &NewTask::titled(title)).await.unwrap()
}

#[tokio::test]
async fn a_change_is_told_to_those_who_may_see_it() {
    let (house, ada) = House::with_ada().await;
    let (bob, cat) = (house.add_user(ada, "bob", "user").await, house.add_user(ada, "cat", "user").await);
    let mut readers = Vec::new();
    for user in [ada, bob, cat] {
        let browser = house.browser(user).await;
        let mut reader = Reader::open(&browser, &house, "/v1/events", None).await;
        assert_eq!(reader.next().await.unwrap().event, "hello");
        readers.push(reader);
    }
    let bobs = task_of(&house, bob, "a secret of bob's").await;
    let cats = task_of(&house, cat, "cat's own").await;
    let told = readers[1].until("task", bobs).await;
    assert_eq!((&told.data["action"], &told.data["task_id"]), (&json!("task_created"), &json!(bobs)));
    assert!(!told.data.to_string().contains("secret"), "what stands in the row is not told");
    readers[0].until("task", bobs).await;
    readers[0].until("task", cats).await;
    // Cat hears of her own task, and of nothing before it.
    let first = readers[2].next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["id"]), ("task", &json!(cats)));
    // A task that is given to her is hers to hear of from then on.
    let assigned = tasks::assign(&Actor::user(ada), &house.store, bobs, Some(cat)).await;
    assigned.unwrap();
    assert_eq!(readers[2].until("task", bobs).await.data["action"], "task_assigned");
    // What is gone is told to who took it away.
    tasks::delete(&Actor::user(bob), &house.store, bobs).await.unwrap();
    while readers[1].until("task", bobs).await.data["action"] != "task_deleted" {}
}

#[tokio::test]
async fn a_reader_goes_on_where_it_stopped() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let browser = house.browser(bob).await;
    let mut reader = Reader::open(&browser, &house, "/v1/events?kinds=task,notification", None).await;
    let start = reader.next().await.unwrap().id.unwrap();
    let one = task_of(&house, bob, "one").await;
    let last = reader.until("task", one).await.id.unwrap();
    assert!(last > start);
    drop(reader);
    let mut missed = Vec::new();
    for n in 0..5 {
        task_of(&house, ada, "not bob's").await;
        missed.push(task_of(&house, bob, &format!("missed {n}")).await);
    }
    let mut reader = Reader::open(&browser, &house, "/v1/events?kinds=task", Some(last)).await;
    assert_eq!(reader.next().await.unwrap().id, Some(last));
    for id in &missed {
        let told = reader.next().await.unwrap();
        assert_eq!((told.event.as_str(), &told.data["id"]), ("task", &json!(id)), "each once, in order");
    }
    let now = task_of(&house, bob, "now").await;
    assert_eq!(reader.next().await.unwrap().data["id"], json!(now));
    // The same by the address, from the very beginning.
    let mut reader = Reader::open(&browser, &house, "/v1/events?after=0&kinds=task", None).await;
    assert_eq!(reader.next().await.unwrap().event, "hello");
    assert_eq!(reader.next().await.unwrap().data["id"], json!(one));
    for bad in ["/v1/events?after=x", "/v1/events?after=-1", "/v1/events?kinds=secrets", "/v1/events?nothing=1"] {
        assert_eq!(browser.get(bad).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    assert_eq!(house.stranger().get("/v1/events").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stream_ends_with_the_log_in() {
    let (house, ada) = House::with_ada().await;
    let (bob, cat) = (house.add_user(ada, "bob", "user").await, house.add_user(ada, "cat", "user").await);
    let (bobs, cats) = (house.browser(bob).await, house.browser(cat).await);
    let program = house.program(cat, cat, &["read"]).await;
    let mut readers = Vec::new();
    for browser in [&bobs, &cats, &program] {
        let mut reader = Reader::open(browser, &house, "/v1/events", None).await;
        assert_eq!(reader.next().await.unwrap().event, "hello");
        readers.push(reader);
    }
    accounts::set_status(&house.store, &Actor::user(ada), bob, "suspended").await.unwrap();
    ends(&mut readers[0]).await;
    let session: Uuid = cats.get("/v1/auth/session").await.json()["id"].as_str().unwrap().parse().unwrap();
    assert!(sessions::revoke(&Actor::user(cat), &house.store, session).await.unwrap());
    ends(&mut readers[1]).await;
    let token = program.get("/v1/auth/session").await.json()["id"].as_str().unwrap().parse().unwrap();
    domain::tokens::revoke(&house.store, &Actor::user(cat), token).await.unwrap();
    ends(&mut readers[2]).await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_dropped_and_told() {
    let (house, ada) = House::with_ada().await;
    let employee = store::users::agent(&Actor::service(), &house.store, accounts::EMPLOYEE).await.unwrap().unwrap();
    let browser = house.browser(ada).await;
    let mut slow = Reader::open(&browser, &house, "/v1/events", None).await;
    let mut quick = Reader::open(&browser, &house, "/v1/events", None).await;
    for n in 0..40 {
        // Work for the employee wakes, and so each of these is told in a batch of its own.
        let new = NewTask { assigned_to: Some(employee), ..NewTask::titled(format!("task {n}")) };
        let id = tasks::create(&Actor::user(ada), &house.store, &new).await.unwrap();
        quick.until("task", id).await;
    }
    let (mut heard, mut last) = (0, None);
    let end = loop {
        let told = slow.next().await.expect("the end is told");
        match told.event.as_str() {
            "task" => (heard, last) = (heard + 1, told.id),
            "hello" => {}
            _ => break told,
        }
    };
    assert!((1..40).contains(&heard), "{heard} were told before the end");
    assert_eq!(end.event, "dropped");
    assert!(slow.next().await.is_none());
    let mut again = Reader::open(&browser, &house, "/v1/events?kinds=task", last).await;
    assert_eq!(again.next().await.unwrap().event, "hello");
    for _ in heard..40 {
        assert_eq!(again.next().await.unwrap().event, "task", "nothing is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_hear_of_it() {
    let (house, ada) = House::with_ada().await;
    let service = Actor::service();
    let mut users = vec![ada];
    for n in 0..19 {
        // Nobody logs in by a password here, so none is hashed.
        let new = store::users::NewUser {
            username: format!("user{n}"),
            email: format!("user{n}@example.org"),
            password_hash: "!".to_owned(),
            role: "user".to_owned(),
            first_name: None,
            last_name: None,
        };
        users.push(store::users::create(&service, &house.store, &new).await.unwrap());
    }
    let mut readers = Vec::new();
    for user in &users {
        let browser = house.browser(*user).await;
        for _ in 0..50 {
            let mut reader = Reader::open(&browser, &house, "/v1/events?kinds=notification", None).await;
            assert_eq!(reader.next().await.unwrap().event, "hello");
            readers.push((*user, reader));
        }
    }
    assert_eq!(readers.len(), 1000);
    let mut told = std::collections::HashMap::new();
    for user in &users {
        let new = notifications::NewNotification {
            user_id: *user,
            title: "t".to_owned(),
            message: None,
            r#type: "info",
            data: json!({}),
        };
        told.insert(*user, notifications::create(&service, &house.store, &new).await.unwrap());
    }
    let told = &told;
    join_all(readers.iter_mut().map(|(user, reader)| async move {
        let first = reader.next().await.unwrap();
        assert_eq!((first.event.as_str(), &first.data["id"]), ("notification", &json!(told[user])), "one's own alone");
    }))
    .await;
}

/// One of several nodes over the database.
async fn node(url: &str, redis_url: Option<&str>) -> House {
    let mut config = store::Config::from_url(url).unwrap();
    config.redis_url = redis_url.map(Into::into);
    let store = store::Store::open(&config).await.unwrap();
    let mut house = House::new().await.with(|state| crate::State { store: store.clone(), ..state });
    house.store = store;
    house
}

fn psql(url: &str, sql: &str) {
    let done = std::process::Command::new("psql").args(["-X", "-q", "-d", url, "-c", sql]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn what_happens_on_one_node_is_told_and_gone_on_with_on_another() {
    let base = std::env::var("STEWARD_TEST_POSTGRES_URL").expect("STEWARD_TEST_POSTGRES_URL is not set; run ./test");
    let redis = std::env::var("STEWARD_TEST_REDIS_URL").expect("STEWARD_TEST_REDIS_URL is not set; run ./test");
    let name = format!("steward_{}", Uuid::now_v7().simple());
    psql(&base, &format!("CREATE DATABASE {name}"));
    let url = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
    store::migrate::migrate(&store::Config::from_url(&url).unwrap()).await.unwrap();
    for redis_url in [None, Some(redis.as_str())] {
        let (here, there) = (node(&url, redis_url).await, node(&url, redis_url).await);
        let new = store::users::NewUser {
            username: format!("bob{}", u8::from(redis_url.is_some())),
            email: format!("bob{}@example.org", u8::from(redis_url.is_some())),
            // Nobody logs in by a password here.
            password_hash: "!".to_owned(),
            role: "user".to_owned(),
            first_name: None,
            last_name: None,
        };
        let bob = store::users::create(&Actor::service(), &here.store, &new).await.unwrap();
        let browser = here.browser(bob).await;
        let elsewhere = Browser { house: &there, cookie: browser.cookie.clone(), bearer: None, token: String::new() };
        let mut reader = Reader::open(&elsewhere, &there, "/v1/events?kinds=task", None).await;
        assert_eq!(reader.next().await.unwrap().event, "hello");
        let heard = task_of(&here, bob, "made here").await;
        let last = reader.until("task", heard).await.id.unwrap();
        drop(reader);
        let missed = task_of(&there, bob, "made there").await;
        let mut reader = Reader::open(&browser, &here, "/v1/events?kinds=task", Some(last)).await;
        assert_eq!(reader.next().await.unwrap().id, Some(last));
        assert_eq!(reader.next().await.unwrap().data["id"], json!(missed), "what was missed, and nothing twice");
        // A session that is ended on one node ends its stream on the other.
        let session: Uuid = elsewhere.get("/v1/auth/session").await.json()["id"].as_str().unwrap().parse().unwrap();
        assert!(sessions::revoke(&Actor::user(bob), &there.store, session).await.unwrap());
        ends(&mut reader).await;
    }
    psql(&base, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
}
