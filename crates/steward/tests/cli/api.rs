//! The API's description from the terminal.

use crate::desk::Desk;

#[test]
fn the_description_is_printed_without_a_database() {
    let desk = Desk::empty();
    let document: serde_json::Value = serde_json::from_str(&desk.run(&["openapi"]).done()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/tasks/{id}/complete"]["post"].is_object());
    assert!(!desk.data().join("steward.db").exists());
}
