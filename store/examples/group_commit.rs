//! Durable commits per second with one writer and with 64, on the disk that holds a given directory.
//!
//! `cargo run --release -p store --example group_commit -- DIR [SECONDS]` prints one line of JSON.

use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use store::{DataDir, Store, Write};
use world::World;

const WRITERS: usize = 64;
const VALUE_BYTES: usize = 256;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: group_commit DIR [SECONDS]")?;
    let seconds: f64 = arguments.next().map_or(Ok(6.0), |text| text.parse())?;
    let world = World::real();
    let dir = DataDir::open(Path::new(&dir))?;
    let store = Store::fjall(&dir, world.clone())?;
    // Interleaved, so that a change in the machine's load meets both.
    let (rounds, mut one, mut many) = (3, 0.0, 0.0);
    let slice = Duration::from_secs_f64(seconds / f64::from(2 * rounds));
    for _ in 0..rounds {
        one += commits_per_second(&store, &world, 1, slice).await / f64::from(rounds);
        many += commits_per_second(&store, &world, WRITERS, slice).await / f64::from(rounds);
    }
    println!(
        "{}",
        serde_json::json!({
            "writers": WRITERS, "value_bytes": VALUE_BYTES,
            "one_writer_per_s": one.round(), "many_writers_per_s": many.round(),
            "ratio": (many / one * 10.0).round() / 10.0,
        })
    );
    Ok(())
}

async fn commits_per_second(store: &Store, world: &World, writers: usize, slice: Duration) -> f64 {
    let begun = world.moment();
    let end = begun + slice;
    let tasks: Vec<_> =
        (0..writers).map(|writer| tokio::spawn(write(store.clone(), world.clone(), writer, end))).collect();
    let mut commits = 0u32;
    for task in tasks {
        commits += task.await.expect("a writer ends");
    }
    f64::from(commits) / (world.moment() - begun).as_secs_f64()
}

async fn write(store: Store, world: World, writer: usize, end: world::Moment) -> u32 {
    let value = Bytes::from(vec![7; VALUE_BYTES]);
    let mut commits = 0;
    while world.moment() < end {
        let key = format!("writer/{writer}/{}", commits % 1000).into_bytes();
        store.commit(Vec::new(), vec![Write::Put(key, value.clone())]).await.expect("the disk takes it");
        commits += 1;
    }
    commits
}
