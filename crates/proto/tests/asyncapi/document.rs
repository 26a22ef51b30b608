//! The document as the tests read it: its messages, their schemas, their examples.

use std::collections::BTreeSet;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// Everything that is in it.
pub(crate) fn read() -> Value {
    serde_json::from_str(include_str!("../../../../docs/asyncapi.json")).unwrap()
}

/// The messages that a gateway receives, by the operations.
pub(crate) fn received(document: &Value) -> BTreeSet<String> {
    let operations = operations(document, "receive");
    operations.iter().flat_map(|operation| names(&operation["messages"])).collect()
}

/// The messages that a gateway sends: as replies, or by itself.
pub(crate) fn sent(document: &Value) -> BTreeSet<String> {
    let replies = operations(document, "receive");
    let replies = replies.iter().flat_map(|operation| names(&operation["reply"]["messages"]));
    let others = operations(document, "send");
    replies.chain(others.iter().flat_map(|operation| names(&operation["messages"]))).collect()
}

fn operations<'a>(document: &'a Value, action: &str) -> Vec<&'a Value> {
    let all = document["operations"].as_object().unwrap().values();
    all.filter(|operation| operation["action"] == action).collect()
}

fn names(references: &Value) -> Vec<String> {
    let prefix = "#/channels/socket/messages/";
    let name = |it: &Value| it["$ref"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned();
    references.as_array().unwrap().iter().map(name).collect()
}

/// The payloads of a message's examples.
pub(crate) fn examples(document: &Value, message: &str) -> Vec<Value> {
    let examples = document["components"]["messages"][message]["examples"].as_array().unwrap();
    examples.iter().map(|example| example["payload"].clone()).collect()
}

/// Tells whether frames are as a message's schema says.
pub(crate) fn validator(document: &Value, message: &str) -> Validator {
    let payload = format!("#/components/messages/{message}/payload");
    let schema = json!({ "allOf": [{ "$ref": payload }], "components": document["components"] });
    jsonschema::options().with_draft(Draft::Draft7).build(&schema).unwrap()
}

/// The same document, in which no object has a field that is not named: on the wire one may, for later versions.
pub(crate) fn strict(document: &Value) -> Value {
    let mut document = document.clone();
    close(&mut document["components"]);
    document
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The fields that a message's schema names, as paths. What stands in an `anyOf` belongs to another message.
pub(crate) fn fields(document: &Value, message: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(document, &document["components"]["messages"][message]["payload"], None, "", &mut paths);
    paths
}

/// Those of them that a frame has.
pub(crate) fn shown(document: &Value, message: &str, frame: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(document, &document["components"]["messages"][message]["payload"], Some(frame), "", &mut paths);
    paths
}

fn walk(document: &Value, schema: &Value, frame: Option<&Value>, path: &str, paths: &mut BTreeSet<String>) {
    let schema = resolve(document, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(value) = frame.map_or(Some(None), |frame| frame.get(name).map(Some)) else { continue };
        let path = format!("{path}/{name}");
        paths.insert(path.clone());
        walk(document, property, value, &path, paths);
    }
    if let Some(items) = schema.get("items") {
        match frame {
            Some(frame) => {
                let frames = frame.as_array().unwrap();
                frames.iter().for_each(|frame| walk(document, items, Some(frame), path, paths));
            }
            None => walk(document, items, None, path, paths),
        }
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").or_else(|| schema["allOf"][0].get("$ref"));
    match reference {
        Some(reference) => {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            resolve(document, document.pointer(pointer).unwrap())
        }
        None => schema,
    }
}
