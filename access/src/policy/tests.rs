//! Every combination of statement parts against an oracle that knows only how the parts were meant.

use super::*;
use model::CallerKind;

const RESOURCE: &str = "arn:aws:lambda:us-east-1:000000000000:function:hello";

/// A part of a statement and whether it speaks of the request: yes, no, or cannot be understood.
type Part = (&'static str, Option<bool>);

const PRINCIPALS: &[Part] = &[
    (r#""*""#, Some(true)),
    (r#"{"AWS":"arn:aws:sts::000000000000:assumed-role/r/f"}"#, Some(true)),
    (r#"{"AWS":"999999999999"}"#, Some(false)),
    (r#"{"Service":"events.amazonaws.com"}"#, Some(false)),
    (r#"{"CanonicalUser":"x"}"#, None),
    (r#""everyone""#, None),
];

const ACTIONS: &[Part] = &[
    (r#""lambda:InvokeFunction""#, Some(true)),
    (r#""lambda:invoke*""#, Some(true)),
    (r#"["lambda:GetPolicy","*"]"#, Some(true)),
    (r#""lambda:GetPolicy""#, Some(false)),
    (r"[]", Some(false)),
];

const RESOURCES: &[Part] = &[
    (r#""arn:aws:lambda:us-east-1:000000000000:function:hello""#, Some(true)),
    (r#""*""#, Some(true)),
    (r#""arn:aws:lambda:us-east-1:000000000000:function:HELLO""#, Some(false)),
];

/// The request's context holds SourceAccount 1 and SourceArn arn:aws:s3:::b, and no organisation.
const CONDITIONS: &[Part] = &[
    ("{}", Some(true)),
    (r#"{"StringEquals":{"AWS:SourceAccount":"1"}}"#, Some(true)),
    (r#"{"StringEquals":{"aws:SourceAccount":["2","1"]}}"#, Some(true)),
    (r#"{"StringEquals":{"aws:SourceAccount":"2"}}"#, Some(false)),
    (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, Some(false)),
    (r#"{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}"#, Some(true)),
    (r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, Some(true)),
    (r#"{"StringNotEquals":{"aws:SourceAccount":["2","1"]}}"#, Some(false)),
    (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}"#, Some(true)),
    (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:::*"}}"#, Some(false)),
    (r#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:sns:::*"}}"#, Some(true)),
    (r#"{"Null":{"aws:PrincipalOrgID":"true"}}"#, Some(true)),
    (r#"{"Null":{"aws:SourceArn":"true"}}"#, Some(false)),
    (r#"{"Bool":{"lambda:InvokedViaFunctionUrl":true}}"#, Some(false)),
    (
        r#"{"StringEquals":{"aws:SourceAccount":"1"},"ArnLike":{"aws:SourceArn":"arn:aws:sqs:::x"}}"#,
        Some(false),
    ),
    (r#"{"StringEquals":{"aws:Unheard":"1"}}"#, None),
    (r#"{"StringResembles":{"aws:SourceAccount":"1"}}"#, None),
    (r#"{"ForAllValues:StringEquals":{"aws:SourceAccount":"1"}}"#, None),
    (r#"{"NullIfExists":{"aws:SourceAccount":"true"}}"#, None),
    (r#"{"StringEquals":"1"}"#, None),
    (r#"{"StringEquals":{"aws:SourceAccount":{}}}"#, None),
    (r#"{"StringEquals":{"aws:Unheard":"1","aws:SourceAccount":"2"}}"#, Some(false)),
];

fn statement(effect: &str, parts: [Part; 4]) -> (Statement, Option<bool>) {
    let [(principal, p), (action, a), (resource, r), (condition, c)] = parts;
    let text = format!(
        r#"{{"Effect":"{effect}","Principal":{principal},"Action":{action},"Resource":{resource},"Condition":{condition}}}"#
    );
    let all = [p, a, r, c];
    let speaks = if all.contains(&Some(false)) {
        Some(false)
    } else {
        all.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
    };
    (serde_json::from_str(&text).expect("a statement"), speaks)
}

fn every_statement(effect: &'static str) -> impl Iterator<Item = (Statement, Option<bool>)> {
    PRINCIPALS.iter().flat_map(move |p| {
        ACTIONS.iter().flat_map(move |a| {
            RESOURCES
                .iter()
                .flat_map(move |r| CONDITIONS.iter().map(move |c| statement(effect, [*p, *a, *r, *c])))
        })
    })
}

fn decide(statements: Vec<Statement>) -> Decision {
    let caller = Caller {
        kind: CallerKind::Function,
        arn: "arn:aws:sts::000000000000:assumed-role/r/f".into(),
        account: "000000000000".into(),
        user_id: "AROA:f".into(),
        instance: String::new(),
        access_key: "ASIA".into(),
    };
    let context = Context::default().with("aws:SourceAccount", "1").with("aws:SourceArn", "arn:aws:s3:::b");
    let document = Document { version: LANGUAGE.into(), id: None, statement: statements };
    let action = "lambda:InvokeFunction";
    document.decide(Request { caller: &caller, action, resource: RESOURCE, context: &context })
}

fn oracle(allow: Option<bool>, deny: Option<bool>) -> Decision {
    match (allow, deny) {
        (_, Some(true) | None) => Decision::Deny,
        (Some(true), Some(false)) => Decision::Allow,
        (_, Some(false)) => Decision::Silent,
    }
}

#[test]
fn agrees_with_the_oracle() {
    let quiet = Some(false);
    for (statement, speaks) in every_statement("Allow") {
        assert_eq!(decide(vec![statement.clone()]), oracle(speaks, quiet), "{statement:?}");
    }
    let (open, _) = statement("Allow", [PRINCIPALS[0], ACTIONS[0], RESOURCES[1], CONDITIONS[0]]);
    for (statement, speaks) in every_statement("Deny") {
        assert_eq!(decide(vec![statement.clone()]), oracle(quiet, speaks), "{statement:?}");
        let wanted = oracle(Some(true), speaks);
        assert_eq!(decide(vec![open.clone(), statement.clone()]), wanted, "{statement:?}");
        assert_eq!(decide(vec![statement.clone(), open.clone()]), wanted, "{statement:?}");
    }
    assert_eq!(decide(vec![]), Decision::Silent);
}

#[test]
fn what_the_language_does_not_have_is_no_policy() {
    for text in [
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotPrincipal":"*","Action":"*","Resource":"*"}]}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Permit","Principal":"*","Action":"*","Resource":"*"}]}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Resource":"*"}]}"#,
        r#"{"Statement":[]}"#,
    ] {
        assert!(serde_json::from_str::<Document>(text).is_err(), "{text}");
    }
}
