//! The documents that a gateway serves of itself, by the rules of those who made their formats.

use serde_json::{Value, json};
use testkit::Request;

use crate::fixture::single;
use crate::tools;

#[tokio::test]
async fn the_socket_is_described_as_asyncapi_has_it() {
    let gateway = single().await;
    let answer = Request::get("/v1/asyncapi.json").send(gateway.addr()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/vnd.aai.asyncapi+json;version=3.0.0"));

    let schema = std::fs::read_to_string(tools::npm_file("@asyncapi/specs/schemas/3.0.0.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = answer.json();
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // The schema looks at what we wrote.
    for (pointer, wrong) in [
        ("/operations/join/action", json!("receives")),
        ("/channels/socket/bindings/ws/method", json!("PUT")),
        ("/components/messages/pong/payload/properties", json!(7)),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
}
