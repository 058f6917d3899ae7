//! The street from end to end: signed HTTP in at one end, gRPC out at the other,
//! over the embedded log and the private database, all on throw-away ports.
//!
//! One street serves all stories, one after the other; each has tenants and
//! accounts of its own.

mod body;
mod call;
mod fresh;
mod order;
mod refused;
mod shapes;
mod shell;
mod show;
mod tenant;
mod thousand;
mod unknown;
mod unrecognized;
mod walls;
mod watch;
mod watchers;

use std::{future::Future, sync::Arc, time::Instant};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_signs_is_what_clients_read() {
    let mut stories = Stories::begin().await;
    stories.tell("shapes", shapes::every_shape).await;
    stories.tell("watchers", watchers::of_one_account).await;
    stories
        .tell("connected later", unknown::connected_later)
        .await;
    stories.tell("race", unknown::connected_meanwhile).await;
    stories.tell("duplicates", order::duplicates).await;
    stories.tell("four changes", order::there_and_back).await;
    stories.tell("late", order::late_and_equal_times).await;
    stories
        .tell("one body", order::one_ad_twice_in_a_body)
        .await;
    stories.tell("a thousand", thousand::in_one_body).await;
    stories.tell("unrecognized", unrecognized::counted).await;
    stories.tell("handshake", refused::handshake).await;
    stories.tell("unsigned", refused::unsigned).await;
    stories.tell("too large", refused::too_large).await;
    stories.tell("arguments", refused::arguments).await;
    stories.tell("stale version", refused::stale_version).await;
    stories.tell("walls", walls::between_tenants).await;
    stories.tell("own writes", fresh::own_writes).await;
    stories.tell("positions", fresh::positions).await;
    stories.tell("watch", watch::and_resume).await;
    stories.tell("filtered watch", watch::with_a_filter).await;
    stories.tell("a key's end", watch::ends_with_its_key).await;
    stories.tell("own reads", shell::own_reads).await;
    stories.tell("samples", shell::samples).await;
    stories.tell("key files", shell::key_files).await;
    stories.tell("pages", shell::pages).await;
    stories.tell("replays", shell::replays).await;
    stories.end().await;
}

/// A story that fails stops none of the others.
struct Stories {
    house: Arc<House>,
    failed: Vec<&'static str>,
}

impl Stories {
    async fn begin() -> Self {
        Self {
            house: Arc::new(House::open().await.unwrap()),
            failed: Vec::new(),
        }
    }

    async fn tell<S, T>(&mut self, name: &'static str, story: S)
    where
        S: FnOnce(Arc<House>) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let began = Instant::now();
        let told = tokio::spawn(story(self.house.clone())).await;
        let outcome = if told.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{name}: {outcome}, {:.1?}", began.elapsed());
        if told.is_err() {
            self.failed.push(name);
        }
    }

    async fn end(self) {
        let house = Arc::into_inner(self.house).expect("every story has ended");
        house.close().await.unwrap();
        assert!(self.failed.is_empty(), "failed: {:?}", self.failed);
    }
}
