//! Tables from the models in the cases. They live as long as the test program: the tables of a service are static.

use serde_json::Value as Json;
use wire::Structure;
use wire::{
    Fault, Field, Item, Kind, Limits, Location, Operation, Protocol, Resource, Service, Shape, TimeFormat,
};

/// Recursive shapes are unrolled this deep; no case goes deeper.
const DEPTH: usize = 7;

/// Keeps a value for the rest of the program.
pub fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Keeps a text for the rest of the program.
pub fn text(value: &Json) -> &'static str {
    String::leak(value.as_str().unwrap_or_default().to_owned())
}

/// The shape that `reference` (such as `{"shape": "Name"}`) uses.
pub fn shape(group: &Json, reference: &Json) -> Option<&'static Shape> {
    reference["shape"].is_string().then(|| build(group, reference, 0))
}

/// The service of a group with the operation of one case, whose input is `input`.
pub fn service(group: &Json, case: &Json, input: Option<&'static Shape>) -> &'static Service {
    let (metadata, given) = (&group["metadata"], &case["given"]);
    let protocol = match (metadata["protocol"].as_str(), metadata["jsonVersion"].as_str()) {
        (Some("rest-json"), _) => Protocol::RestJson,
        (Some("json"), Some("1.0")) => Protocol::Json10,
        (Some("json"), _) => Protocol::Json11,
        (Some("query"), _) => Protocol::Query,
        other => panic!("unknown protocol {other:?}"),
    };
    let wrapper = &given["output"]["resultWrapper"];
    let usual = format!("{}Result", given["name"].as_str().expect("an operation has a name"));
    let wrapper = if wrapper.is_string() { text(wrapper) } else { String::leak(usual) };
    let operation = Operation {
        name: text(&given["name"]),
        method: text(&given["http"]["method"]),
        path: text(&given["http"]["requestUri"]),
        status: given["http"]["responseCode"].as_u64().map_or(200, |code| code as u16),
        input,
        output: shape(group, &given["output"]),
        result_wrapper: Some(wrapper),
        errors: &[],
        action: "",
        resource: Resource::Any,
        served: true,
        unsigned: false,
    };
    keep(Service {
        name: "conformance",
        signing_name: "conformance",
        protocol,
        target_prefix: text(&metadata["targetPrefix"]),
        api_version: text(&metadata["apiVersion"]),
        xmlns: text(&metadata["xmlNamespace"]),
        query_compatible: !metadata["awsQueryCompatible"].is_null(),
        validation_code: "ValidationException",
        operations: std::slice::from_ref(keep(operation)),
    })
}

fn build(group: &Json, reference: &Json, depth: usize) -> &'static Shape {
    let name = text(&reference["shape"]);
    let model = &group["shapes"][name];
    let item = |part: &str, usual: &'static str| Item {
        shape: build(group, &model[part], depth + 1),
        wire: if model[part]["locationName"].is_string() {
            text(&model[part]["locationName"])
        } else {
            usual
        },
    };
    let kind = match model["type"].as_str().unwrap_or_default() {
        "structure" if model["document"] == true => Kind::Document,
        "structure" if depth > DEPTH => Kind::Structure(Structure { fields: &[], error: None, union: false }),
        "structure" => Kind::Structure(structure(group, name, model, depth)),
        "list" => Kind::List(item("member", "member")),
        "map" => Kind::Map(item("key", "key"), item("value", "value")),
        "string" if reference["jsonvalue"] == true => Kind::JsonString,
        "string" => Kind::String,
        "blob" => Kind::Blob,
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "timestamp" => Kind::Timestamp(time_format(reference).or_else(|| time_format(model))),
        other => panic!("unknown type {other:?} of {name}"),
    };
    let choices = model["enum"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().leak();
    keep(Shape { name, kind, limits: Limits { choices, ..Limits::NONE }, sensitive: false })
}

fn time_format(model: &Json) -> Option<TimeFormat> {
    match model["timestampFormat"].as_str()? {
        "unixTimestamp" => Some(TimeFormat::Epoch),
        "iso8601" => Some(TimeFormat::Iso8601),
        "rfc822" => Some(TimeFormat::HttpDate),
        other => panic!("unknown timestamp format {other}"),
    }
}

fn structure(group: &Json, name: &'static str, model: &Json, depth: usize) -> Structure {
    let members = model["members"].as_object().expect("a structure has members");
    let fields = members.iter().map(|(name, reference)| field(group, (name, reference), model, depth));
    let fields = fields.collect::<Vec<_>>().leak();
    let error = (model["exception"] == true).then(|| {
        let usual = if model["fault"] == true { 500 } else { 400 };
        let status = model["error"]["httpStatusCode"].as_u64().map_or(usual, |code| code as u16);
        let code = Some(text(&model["error"]["code"])).filter(|code| !code.is_empty() && *code != name);
        Fault { code, status, sender: status < 500 }
    });
    Structure { fields, error, union: model["union"] == true }
}

fn field(group: &Json, (name, reference): (&String, &Json), parent: &Json, depth: usize) -> Field {
    let name: &'static str = String::leak(name.clone());
    let shape = build(group, reference, depth + 1);
    let target = &group["shapes"][text(&reference["shape"])];
    let wire = match reference["locationName"].is_string() {
        true => text(&reference["locationName"]),
        false => name,
    };
    let location = match reference["location"].as_str() {
        None if parent["payload"] == *name => Location::Payload,
        None => Location::Body,
        Some("uri") => Location::Label,
        Some("querystring") if matches!(shape.kind, Kind::Map(..)) => Location::QueryMap,
        Some("querystring") => Location::Query,
        Some("header") => Location::Header,
        Some("headers") => Location::Headers,
        Some("statusCode") => Location::Status,
        Some(other) => panic!("unknown location {other}"),
    };
    let required = parent["required"].as_array().into_iter().flatten().any(|required| *required == *name);
    let wire =
        if location == Location::Headers && !reference["locationName"].is_string() { "" } else { wire };
    Field {
        name,
        wire,
        shape,
        location,
        required,
        flattened: reference["flattened"] == true || target["flattened"] == true,
        attribute: reference["xmlAttribute"] == true,
        media_type: "",
    }
}
