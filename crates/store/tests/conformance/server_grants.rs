//! `server_grants`.

use jiff::SignedDuration;
use serde_json::json;
use store::{audit_trail, mcp_servers, server_grants};

use crate::common::{Db, refusal};

crate::on_both!(a_grant_is_the_services_alone_and_goes_with_its_server);

async fn a_grant_is_the_services_alone_and_goes_with_its_server(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    let server =
        mcp_servers::create(&db.ada, on, "shop", "https://shop.example.org/mcp", Vec::new(), None).await.unwrap();
    assert_eq!(refusal(server_grants::give(&db.bob, on, server, json!({"sealed": 1})).await), "refused");
    server_grants::give(&db.ada, on, server, json!({"sealed": 1})).await.unwrap();
    let given = server_grants::get(service, on, server).await.unwrap().unwrap();
    assert_eq!(given.secret, json!({"sealed": 1}));
    assert!(server_grants::get(&db.ada, on, server).await.is_err(), "what is sealed is the service's alone");
    // One renews, the others wait.
    let minute = SignedDuration::from_mins(1);
    assert!(server_grants::hold(service, on, server, minute).await.unwrap());
    assert!(!server_grants::hold(service, on, server, minute).await.unwrap());
    assert!(server_grants::put(service, on, server, json!({"sealed": 2}), given.created_at).await.unwrap());
    assert!(server_grants::hold(service, on, server, minute).await.unwrap());
    assert!(!server_grants::remove(&db.bob, on, server).await.unwrap());
    assert!(server_grants::remove(&db.ada, on, server).await.unwrap());
    assert!(!server_grants::put(service, on, server, json!({"sealed": 3}), given.created_at).await.unwrap());
    server_grants::give(&db.ada, on, server, json!({"sealed": 4})).await.unwrap();
    assert!(!server_grants::put(service, on, server, json!({"sealed": 3}), given.created_at).await.unwrap(), "another");
    let rows = audit_trail::list(&db.ada, on, Some("server_grant"), Some(server), 10).await.unwrap();
    assert_eq!(rows.len(), 3, "given, taken back, given; that it was renewed is no news");
    assert!(rows.iter().all(|row| row.user_id == db.ada.user_id()) && !format!("{rows:?}").contains("sealed"));
    assert!(mcp_servers::delete(&db.ada, on, server).await.unwrap(), "a person removes the server");
    assert!(server_grants::get(service, on, server).await.unwrap().is_none());
}
