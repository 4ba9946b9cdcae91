//! The service behind real signatures.

use crate::Accounts;
use access::policy::Context;
use access::{Access, Ask, Credentials, FunctionClaims, Keys, Permit, RequestFacts, RootKey, Scope, sign};
use model::Place;
use wire::sts::{GetCallerIdentityRequest, Sts};
use world::World;

fn permit(access: &Access, credentials: &Credentials, world: &World) -> Permit {
    let request = http::Request::post("/").header("host", "127.0.0.1:4566").body(()).expect("a request");
    let mut parts = request.into_parts().0;
    let scope = Scope { region: "us-east-1", service: "sts", now: world.now() };
    sign(&mut parts, b"", credentials, scope).expect("signs");
    let identity = access.identify(&parts, b"", "sts").expect("is identified");
    let context = Context::default();
    let ask = Ask { action: "sts:GetCallerIdentity", resource: "*", policy: None, context: &context };
    access.authorize(identity, ask, RequestFacts::default()).expect("anyone may")
}

#[tokio::test]
async fn everyone_learns_who_they_are() {
    let world = World::simulated(2);
    let keys = Keys::fresh(RootKey::draw(&world), &world);
    let access = Access::new(keys, Place::default(), world.clone());
    let root = access.root().clone();
    let root = Credentials { access_key: root.access_key, secret_key: root.secret_key, token: None };
    let given = access.function_credentials(&FunctionClaims {
        function_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
        role_arn: "arn:aws:iam::123456789012:role/path/runner".into(),
        instance: "i".into(),
        expires_s: u64::MAX,
    });
    let function =
        Credentials { access_key: given.access_key, secret_key: given.secret_key, token: Some(given.token) };
    for (credentials, arn, user_id) in [
        (root, "arn:aws:iam::000000000000:root", "000000000000"),
        (function, "arn:aws:sts::000000000000:assumed-role/runner/hello", ":hello"),
    ] {
        let permit = permit(&access, &credentials, &world);
        let answer =
            Accounts.get_caller_identity(&permit, GetCallerIdentityRequest {}).await.expect("answers");
        assert_eq!(answer.account.as_deref(), Some("000000000000"));
        assert_eq!(answer.arn.as_deref(), Some(arn));
        assert!(answer.user_id.expect("an id").ends_with(user_id));
    }
}
