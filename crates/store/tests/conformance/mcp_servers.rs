//! `mcp_servers` and `server_tools`.

use serde_json::json;
use store::mcp_servers;
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(servers, tools_wait_for_a_persons_word);

async fn servers(db: &Db) {
    let on = &db.store;
    let args = vec!["-y".to_owned(), "a \"b\", {c}".to_owned()];
    let secret = json!({ "sealed": "s3cret" });
    for actor in [&db.bob, &db.obs, &db.sus, &db.employee, &db.admin_agent, &db.service, &db.nobody] {
        assert_eq!(refusal(mcp_servers::create(actor, on, "files", "npx", vec![], None).await), "refused", "{actor:?}");
    }
    let files = mcp_servers::create(&db.ada, on, "files", "npx", args.clone(), Some(secret.clone())).await.unwrap();
    let mail = mcp_servers::create(&db.ada, on, "Mail", "mail", vec![], None).await.unwrap();
    assert_eq!(refusal(mcp_servers::create(&db.ada, on, "files", "x", vec![], None).await), "mcp_servers_name_key");
    assert_eq!(refusal(mcp_servers::create(&db.ada, on, &"x".repeat(101), "x", vec![], None).await), "length");
    for actor in [&db.bob, &db.obs, &db.employee, &db.service] {
        let all = mcp_servers::list(actor, on).await.unwrap();
        assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["Mail", "files"], "by bytes");
        assert!(!serde_json::to_string(&all).unwrap().contains("s3cret"));
    }
    for actor in [&db.nobody, &db.sus] {
        assert!(mcp_servers::list(actor, on).await.unwrap().is_empty(), "{actor:?}");
    }
    let row = mcp_servers::named(&db.bob, on, "files").await.unwrap().unwrap();
    assert_eq!(
        (row.id, row.command.as_str(), row.args, row.status.as_str(), row.is_active),
        (files, "npx", args, "inactive", true)
    );
    assert!(mcp_servers::named(&db.bob, on, "FILES").await.unwrap().is_none());

    // The environment is the service's alone.
    let launches = mcp_servers::launches(&db.service, on).await.unwrap();
    assert_eq!(
        launches.iter().map(|l| (l.id, l.environment.clone())).collect::<Vec<_>>(),
        [(mail, None), (files, Some(secret))]
    );
    for actor in [&db.ada, &db.bob, &db.employee, &db.admin_agent, &db.nobody] {
        assert_eq!(refusal(mcp_servers::launches(actor, on).await), "refused");
    }
    let audit = store::audit_trail::list(&db.service, on, Some("mcp_server"), None, 10).await.unwrap();
    let text = serde_json::to_string(&audit).unwrap();
    assert!(!text.contains("s3cret") && text.contains(r#""environment":"(secret)""#), "{text}");

    let beat = in_seconds(0);
    mcp_servers::set_status(&db.service, on, files, "active", Some(vec!["tools".to_owned()]), Some(beat))
        .await
        .unwrap();
    mcp_servers::set_status(&db.service, on, files, "active", None, None).await.unwrap();
    let row = mcp_servers::named(&db.bob, on, "files").await.unwrap().unwrap();
    assert_eq!(
        (row.status.as_str(), row.capabilities, row.last_heartbeat),
        ("active", vec!["tools".to_owned()], Some(beat))
    );
    assert_eq!(refusal(mcp_servers::set_status(&db.service, on, files, "on", None, None).await), "chk_server_status");
    assert_eq!(refusal(mcp_servers::set_status(&db.ada, on, files, "active", None, None).await), "refused");
    for actor in [&db.bob, &db.employee, &db.admin_agent, &db.obs, &db.nobody] {
        assert!(!mcp_servers::set_active(actor, on, files, false).await.unwrap(), "{actor:?}");
        assert!(!mcp_servers::delete(actor, on, files).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(mcp_servers::set_active(&db.service, on, files, false).await), "refused");
    assert_eq!(refusal(mcp_servers::delete(&db.service, on, files).await), "refused");
    let mut changed = mcp_servers::named(&db.ada, on, "files").await.unwrap().unwrap();
    (changed.command, changed.args) = ("node".to_owned(), vec!["b".to_owned()]);
    for actor in [&db.bob, &db.employee, &db.admin_agent, &db.obs, &db.nobody] {
        for environment in [None, Some(Some(json!({ "sealed": "forged" })))] {
            assert!(!mcp_servers::update(actor, on, &changed, environment).await.unwrap(), "{actor:?}");
        }
    }
    let environment = |launches: Vec<mcp_servers::ServerLaunch>| launches[1].environment.clone();
    assert!(mcp_servers::update(&db.ada, on, &changed, None).await.unwrap());
    assert_eq!(
        environment(mcp_servers::launches(&db.service, on).await.unwrap()),
        Some(json!({ "sealed": "s3cret" })),
        "what is not given stays"
    );
    let other = json!({ "sealed": "other" });
    assert!(mcp_servers::update(&db.ada, on, &changed, Some(Some(other.clone()))).await.unwrap());
    assert_eq!(environment(mcp_servers::launches(&db.service, on).await.unwrap()), Some(other));
    assert!(mcp_servers::update(&db.ada, on, &changed, Some(None)).await.unwrap());
    assert_eq!(environment(mcp_servers::launches(&db.service, on).await.unwrap()), None);
    let row = mcp_servers::named(&db.bob, on, "files").await.unwrap().unwrap();
    assert_eq!((row.command, row.args), (changed.command, changed.args));
    assert!(mcp_servers::set_active(&db.ada, on, files, false).await.unwrap());
    assert_eq!(mcp_servers::launches(&db.service, on).await.unwrap().len(), 1);
    assert!(mcp_servers::delete(&db.ada, on, files).await.unwrap());
    assert!(!mcp_servers::delete(&db.ada, on, files).await.unwrap());
}

async fn tools_wait_for_a_persons_word(db: &Db) {
    let on = &db.store;
    let files = mcp_servers::create(&db.ada, on, "files", "npx", vec![], None).await.unwrap();
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let schema = json!({ "type": "object", "properties": { "b": {}, "a": {} } });
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(mcp_servers::see_tool(actor, on, files, "move_file", None, &schema, &one).await), "refused");
        assert_eq!(refusal(mcp_servers::withdraw_tool(actor, on, files, "move_file").await), "refused");
    }
    mcp_servers::see_tool(&db.service, on, files, "move_file", Some("moves"), &schema, &one).await.unwrap();
    mcp_servers::see_tool(&db.service, on, files, "Read", None, &schema, &one).await.unwrap();
    let tools = mcp_servers::tools(&db.bob, on, files).await.unwrap();
    assert_eq!(
        tools.iter().map(|t| (t.name.as_str(), t.is_usable())).collect::<Vec<_>>(),
        [("Read", false), ("move_file", false)]
    );
    let tool = async || mcp_servers::tool(&db.employee, on, "files", "move_file").await.unwrap().unwrap();
    assert_eq!((tool().await.description.as_deref(), tool().await.input_schema), (Some("moves"), schema.clone()));
    for actor in [&db.bob, &db.employee, &db.admin_agent, &db.obs, &db.nobody] {
        assert!(!mcp_servers::approve_tool(actor, on, files, "move_file", &one, true).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(mcp_servers::approve_tool(&db.service, on, files, "move_file", &one, true).await), "refused");
    assert!(
        !mcp_servers::approve_tool(&db.ada, on, files, "move_file", &two, true).await.unwrap(),
        "not what was shown"
    );
    assert!(mcp_servers::approve_tool(&db.ada, on, files, "move_file", &one, true).await.unwrap());
    let approved = tool().await;
    assert!(approved.is_usable() && approved.repeatable);
    assert_eq!(approved.approved_by, Some(id(&db.ada)));
    // Seen again as it was it stays usable; changed, it does not, until it is as approved again.
    mcp_servers::see_tool(&db.service, on, files, "move_file", Some("moves"), &schema, &one).await.unwrap();
    assert!(tool().await.is_usable() && tool().await.last_seen > approved.last_seen);
    mcp_servers::see_tool(&db.service, on, files, "move_file", Some("moves!"), &schema, &two).await.unwrap();
    assert!(!tool().await.is_usable());
    mcp_servers::see_tool(&db.service, on, files, "move_file", Some("moves"), &schema, &one).await.unwrap();
    mcp_servers::withdraw_tool(&db.service, on, files, "move_file").await.unwrap();
    assert!(!tool().await.is_usable());
    mcp_servers::withdraw_tool(&db.service, on, files, "unknown").await.unwrap();
    assert_eq!(
        refusal(mcp_servers::see_tool(&db.service, on, Uuid::now_v7(), "x", None, &schema, &one).await),
        "foreign_key"
    );
    assert!(mcp_servers::delete(&db.ada, on, files).await.unwrap());
    assert!(mcp_servers::tools(&db.bob, on, files).await.unwrap().is_empty());
    assert!(mcp_servers::tool(&db.bob, on, "files", "move_file").await.unwrap().is_none());
}
