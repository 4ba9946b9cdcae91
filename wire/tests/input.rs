//! Bad input to this crate's own services, and the exact words of the answer.

use bytes::Bytes;
use wire::{Error, Route, Service, Value};

fn decode(service: &'static Service, operation: &str, uri: &str, body: &str) -> Result<Value, Error> {
    let operation = service.operation(operation).expect("the table has it");
    let (parts, ()) = http::Request::builder().uri(uri).body(()).expect("a good request").into_parts();
    let labels =
        vec![("FunctionName", uri.trim_start_matches('/').split('?').next().unwrap_or("").to_owned())];
    wire::decode(&Route { service, operation, labels }, &parts, &Bytes::from(body.to_owned()))
}

fn lambda(operation: &str, uri: &str, body: &str) -> Result<Value, Error> {
    decode(&wire::lambda::SERVICE, operation, uri, body)
}

#[test]
fn broken_constraints_are_reported_in_the_uniform_text() {
    let check = |operation, uri, body: &str, expected: &str| {
        let error = lambda(operation, uri, body).expect_err(body);
        assert_eq!((error.code.as_ref(), error.status), ("ValidationException", 400));
        assert_eq!(error.message, expected);
    };
    let create = |members: &str| {
        format!(
            "{{\"FunctionName\":\"f\",\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{{}}{members}}}"
        )
    };
    check(
        "CreateFunction",
        "/",
        &create(",\"MemorySize\":1"),
        "1 validation error detected: Value '1' at 'memorySize' failed to satisfy constraint: \
         Member must have value greater than or equal to 128",
    );
    check(
        "CreateFunction",
        "/",
        &create(",\"Timeout\":0,\"MemorySize\":1000000"),
        "2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: \
         Member must have value greater than or equal to 1; \
         Value '1000000' at 'memorySize' failed to satisfy constraint: \
         Member must have value less than or equal to 32768",
    );
    check(
        "CreateFunction",
        "/",
        "{\"FunctionName\":\"f\",\"Code\":{}}",
        "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null",
    );
    check(
        "CreateFunction",
        "/",
        &create(",\"PackageType\":\"Tar\""),
        "1 validation error detected: Value 'Tar' at 'packageType' failed to satisfy constraint: \
         Member must satisfy enum value set: [Zip, Image]",
    );
    check(
        "CreateFunction",
        "/",
        &create(",\"Architectures\":[\"sparc\"]"),
        "1 validation error detected: Value '[sparc]' at 'architectures' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], \
         Member must not be null]",
    );
    check(
        "CreateFunction",
        "/",
        &create(
            ",\"FileSystemConfigs\":[{\"Arn\":\"arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0\"}]",
        ),
        "1 validation error detected: Value null at 'fileSystemConfigs.1.member.localMountPath' \
         failed to satisfy constraint: Member must not be null",
    );
    check(
        "GetFunction",
        "/a%20b",
        "",
        "1 validation error detected: Value 'a%20b' at 'functionName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}\
         ((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)\
         (:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
    );
}

#[test]
fn each_service_has_its_own_code_for_broken_constraints() {
    let error =
        decode(&wire::logs::SERVICE, "DescribeLogGroups", "/", "{\"limit\":51}").expect_err("too many");
    assert_eq!(error.code, "InvalidParameterException");
    let text = "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: \
                Member must have value less than or equal to 50";
    assert_eq!(error.message, text);
}

#[test]
fn secrets_are_not_repeated() {
    let body = "{\"Environment\":{\"Variables\":{\"1bad\":\"hunter2\"}}}";
    let error = lambda("UpdateFunctionConfiguration", "/f", body).expect_err("a bad name");
    assert!(error.message.contains("Value at 'environment.variables' failed"), "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
    let request = wire::lambda::Environment::default();
    assert!(!format!("{request:?}").contains("variables"));
}

#[test]
fn what_cannot_be_read_says_where() {
    let check = |body: &str, expected: &str| {
        let error = lambda("CreateFunction", "/", body).expect_err(body);
        assert_eq!((error.code.as_ref(), error.status), ("SerializationException", 400));
        assert!(error.message.starts_with(expected), "{}", error.message);
    };
    check("{", "The request body is not valid JSON: EOF while parsing");
    check("{\"FunctionName\":}", "The request body is not valid JSON: expected value");
    check("{} x", "The request body is not valid JSON: trailing characters");
    check("[]", "Start of list can not be converted to a structure");
    check("null", "The request body must hold a structure");
    check("\"text\"", "STRING_VALUE can not be converted to a structure");
    check("{\"FunctionName\":1}", "NUMBER_VALUE can not be converted to a String at 'FunctionName'");
    check("{\"Publish\":\"yes\"}", "STRING_VALUE can not be converted to a Boolean at 'Publish'");
    check("{\"MemorySize\":\"128\"}", "STRING_VALUE can not be converted to an Integer at 'MemorySize'");
    check("{\"MemorySize\":1.5}", "NUMBER_VALUE can not be converted to an Integer at 'MemorySize'");
    check("{\"MemorySize\":99999999999}", "NUMBER_VALUE out of range can not be converted to an Integer");
    check("{\"Layers\":{}}", "Start of structure or map can not be converted to a list at 'Layers'");
    check("{\"Layers\":[true]}", "TRUE_VALUE can not be converted to a String at 'Layers'");
    check(
        "{\"Code\":{\"ZipFile\":\"%%\"}}",
        "Text that is not base64 can not be converted to a Blob at 'ZipFile'",
    );
    check("{\"Role\":\"a\",\"Role\":\"b\"}", "Member 'Role' is given twice");
    let deep = format!("{{\"Unknown\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(lambda("CreateFunction", "/", &deep).is_err());
    let many = format!("{{\"Layers\":[{}0]}}", "0,".repeat(10));
    check(&many, "NUMBER_VALUE can not be converted to a String at 'Layers'");
    let many = format!("{{\"Layers\":[{}null]}}", "null,".repeat(1_000_001));
    check(&many, "The request holds too many values");
}

#[test]
fn unknown_members_are_ignored() {
    let body = "{\"Timeout\":5,\"Nonsense\":{\"a\":[1,{}]},\"FunctionName\":\"other\"}";
    let value = lambda("UpdateFunctionConfiguration", "/f", body).expect("it is valid");
    let input =
        <wire::lambda::UpdateFunctionConfigurationRequest as wire::Member>::from_value(value).unwrap();
    assert_eq!(input.timeout, Some(5));
    assert_eq!(input.function_name, "f", "a label is never taken from the body");
}

#[test]
fn wrong_text_in_the_head_is_refused() {
    let error = lambda("ListFunctions", "/?MaxItems=many", "").expect_err("no number");
    assert_eq!((error.code.as_ref(), error.status), ("SerializationException", 400));
    assert_eq!(error.message, "\"many\" at 'MaxItems' is not an Integer");
}
