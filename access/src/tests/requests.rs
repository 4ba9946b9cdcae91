//! Requests and platforms for tests.

use crate::{Access, Credentials, Keys, RootKey, Scope};
use http::Request;
use http::request::Parts;
use model::Place;
use world::World;

/// An access control with its own root key, in a simulated world.
pub(super) fn access() -> (Access, World) {
    let world = World::simulated(11);
    let keys = Keys::fresh(RootKey::draw(&world), &world);
    (Access::new(keys, Place::default(), world.clone()), world)
}

pub(super) fn root(access: &Access) -> Credentials {
    let key = access.root().clone();
    Credentials { access_key: key.access_key, secret_key: key.secret_key, token: None }
}

pub(super) fn scope(world: &World) -> Scope<'static> {
    Scope { region: "us-east-1", service: "lambda", now: world.now() }
}

pub(super) fn request(method: &str, target: &str) -> Parts {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1:4566")
        .header("content-type", "application/json")
        .header("x-amz-log-type", "Tail")
        .body(())
        .expect("a valid request")
        .into_parts()
        .0
}
