//! Who may do what.

use super::requests::{access, request, root, scope};
use crate::policy::{Context, Document};
use crate::{Access, Ask, Credentials, Denied, FunctionClaims, Identity, RequestFacts, sign};
use world::World;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:hello";

fn identity(access: &Access, world: &World, credentials: &Credentials) -> Identity {
    let mut parts = request("GET", "/");
    sign(&mut parts, b"", credentials, scope(world)).expect("signs");
    access.identify(&parts, b"", "lambda").expect("is identified")
}

fn function(access: &Access, world: &World) -> Identity {
    let given = access.function_credentials(&FunctionClaims {
        function_arn: FUNCTION.replace("hello", "other"),
        role_arn: "arn:aws:iam::000000000000:role/path/worker".into(),
        instance: "i".into(),
        expires_s: u64::MAX,
    });
    let credentials =
        Credentials { access_key: given.access_key, secret_key: given.secret_key, token: Some(given.token) };
    identity(access, world, &credentials)
}

fn policy(statements: &str) -> Document {
    let text = format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{statements}]}}"#);
    serde_json::from_str(&text).expect("a policy")
}

fn may(access: &Access, who: &Identity, action: &str, policy: Option<&Document>) -> Result<(), Denied> {
    let ask = Ask { action, resource: FUNCTION, policy, context: &Context::default() };
    access.authorize(who.clone(), ask, RequestFacts::default()).map(drop)
}

#[test]
fn without_policies() {
    let (access, world) = access();
    let (root, function) = (identity(&access, &world, &root(&access)), function(&access, &world));
    assert_eq!(root.caller().arn, "arn:aws:iam::000000000000:root");
    assert_eq!(may(&access, &root, "lambda:DeleteFunction", None), Ok(()));
    assert_eq!(may(&access, &function, "sts:GetCallerIdentity", None), Ok(()));
    assert_eq!(
        may(&access, &function, "lambda:InvokeFunction", None),
        Err(Denied::NotAllowed(format!(
            "User: arn:aws:sts::000000000000:assumed-role/worker/other is not authorized to perform: \
             lambda:InvokeFunction on resource: {FUNCTION} because no identity-based policy allows the \
             lambda:InvokeFunction action"
        )))
    );
    assert!(may(&access, &access.visitor(), "sts:GetCallerIdentity", None).is_err());
}

/// The token reads metrics. It opens no other service, no other action, not even where a policy lets everybody in.
#[test]
fn the_metrics_token_opens_metrics_only() {
    let (access, _) = access();
    let token = access.root().metrics_token();
    let asked = |authorization: &str, service| {
        let mut parts = request("GET", "/_dayfly/v1/metrics");
        parts.headers.insert("authorization", authorization.parse().expect("a header"));
        access.identify(&parts, b"", service)
    };
    let scraper = asked(&format!("Bearer {token}"), "dayfly").expect("is known");
    assert_eq!(may(&access, &scraper, "dayfly:GetMetrics", None), Ok(()));
    let everybody = policy(r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#);
    for action in
        ["dayfly:GetStatus", "dayfly:RetireInstances", "lambda:InvokeFunction", "sts:GetCallerIdentity"]
    {
        for policy in [None, Some(&everybody)] {
            assert!(matches!(may(&access, &scraper, action, policy), Err(Denied::NotAllowed(_))), "{action}");
        }
    }
    let wrong = token.replacen(&token[..1], if token.starts_with('0') { "1" } else { "0" }, 1);
    let multibyte = format!("é{}", &token[2..]);
    for token in ["", "0", &token[1..], &format!("{token}0"), &wrong, &format!(" {token}"), &multibyte] {
        assert!(asked(&format!("Bearer {token}"), "dayfly").is_err(), "{token:?}");
    }
    for service in ["lambda", "logs", "sts"] {
        assert!(asked(&format!("Bearer {token}"), service).is_err(), "{service}");
    }
}

#[test]
fn root_owns_its_account_and_no_other() {
    let (access, world) = access();
    let root = identity(&access, &world, &root(&access));
    let asked = |resource| {
        let ask = Ask { action: "lambda:GetFunction", resource, policy: None, context: &Context::default() };
        access.authorize(root.clone(), ask, RequestFacts::default()).map(drop)
    };
    for own in ["*", FUNCTION, "arn:aws:s3:::bucket", "arn:aws:lambda:eu-west-1:000000000000:function:hello"]
    {
        assert_eq!(asked(own), Ok(()), "{own}");
    }
    let foreign = "arn:aws:lambda:us-east-1:111111111111:function:hello";
    assert_eq!(
        asked(foreign),
        Err(Denied::NotAllowed(format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: lambda:GetFunction on resource: \
             {foreign} because no resource-based policy allows the lambda:GetFunction action"
        )))
    );
}

#[test]
fn a_grant_reaches_whom_it_names() {
    let (access, world) = access();
    let function = function(&access, &world);
    let grant = |principal: &str| {
        policy(&format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"lambda:InvokeFunction","Resource":"{FUNCTION}"}}"#
        ))
    };
    for (principal, function_may, visitor_may) in [
        (r#""*""#, true, true),
        (r#"{"AWS":"*"}"#, true, true),
        (r#"{"AWS":"arn:aws:iam::000000000000:role/path/worker"}"#, true, false),
        (r#"{"AWS":"arn:aws:iam::000000000000:role/worker"}"#, true, false),
        (r#"{"AWS":["x","arn:aws:sts::000000000000:assumed-role/worker/other"]}"#, true, false),
        (r#"{"AWS":"arn:aws:iam::000000000000:role/work"}"#, false, false),
        (r#"{"AWS":"arn:aws:iam::111111111111:role/worker"}"#, false, false),
        (r#"{"AWS":"000000000000"}"#, true, false),
        (r#"{"AWS":"arn:aws:iam::111111111111:root"}"#, false, false),
        (r#"{"Service":"s3.amazonaws.com"}"#, false, false),
        (r#"{"Federated":"*"}"#, false, false),
        (r#"{"AWS":""}"#, false, false),
    ] {
        let policy = grant(principal);
        let action = "lambda:InvokeFunction";
        assert_eq!(may(&access, &function, action, Some(&policy)).is_ok(), function_may, "{principal}");
        assert_eq!(
            may(&access, &access.visitor(), action, Some(&policy)).is_ok(),
            visitor_may,
            "{principal}"
        );
        assert!(may(&access, &function, "lambda:DeleteFunction", Some(&policy)).is_err(), "{principal}");
    }
}

#[test]
fn a_deny_binds_root_too() {
    let (access, world) = access();
    let root = identity(&access, &world, &root(&access));
    let deny = policy(r#"{"Effect":"Deny","Principal":"*","Action":"lambda:Delete*","Resource":"*"}"#);
    let text = may(&access, &root, "lambda:DeleteFunction", Some(&deny)).expect_err("is denied").to_string();
    assert!(text.ends_with("with an explicit deny in a resource-based policy"), "{text}");
    assert_eq!(may(&access, &root, "lambda:GetFunction", Some(&deny)), Ok(()));
}

#[test]
fn a_public_url_needs_both_rights() {
    let (access, world) = access();
    let url = format!(
        r#"{{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"{FUNCTION}",
            "Condition":{{"StringEquals":{{"lambda:FunctionUrlAuthType":"NONE"}}}}}}"#
    );
    let invoke = format!(
        r#"{{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"{FUNCTION}",
            "Condition":{{"Bool":{{"lambda:InvokedViaFunctionUrl":"true"}}}}}}"#
    );
    let visit = |statements: &str, auth_type: &str| {
        let policy = policy(statements);
        let facts = RequestFacts::default();
        access.authorize_url(access.visitor(), (FUNCTION, auth_type), Some(&policy), facts).is_ok()
    };
    let both = format!("{url},{invoke}");
    assert!(visit(&both, "NONE"));
    assert!(!visit(&both, "AWS_IAM"));
    assert!(!visit(&url, "NONE"));
    assert!(!visit(&invoke, "NONE"));
    let open = policy(&both);
    assert!(may(&access, &access.visitor(), "lambda:InvokeFunction", Some(&open)).is_err(), "only by URL");
    let root = identity(&access, &world, &root(&access));
    assert!(access.authorize_url(root, (FUNCTION, "AWS_IAM"), None, RequestFacts::default()).is_ok());
}
